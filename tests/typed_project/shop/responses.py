"""``EventStreamResponse`` with every option and every kind of source."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import assert_type

from django.http import HttpRequest

from adrf_sse.channels import subscribe
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.stream import EventStream
from shop.prices import Price, prices, stored_prices


@asynccontextmanager
async def managed() -> AsyncGenerator[AsyncIterator[Price], None]:
    yield prices()


async def awaited() -> AsyncIterator[Price]:
    return prices()


class Endless:
    """An iterator of the user's own."""

    def __aiter__(self) -> "Endless":
        return self

    async def __anext__(self) -> str:
        return "again"


def every_source(request: HttpRequest, received: AsyncIterable[bytes]) -> list[EventStreamResponse]:
    return [
        EventStreamResponse(prices()),
        EventStreamResponse(stored_prices()),
        EventStreamResponse(iter([1, 2])),
        EventStreamResponse(price.eur for price in stored_prices()),
        EventStreamResponse(price.eur async for price in prices()),
        EventStreamResponse(managed()),
        EventStreamResponse(awaited()),
        EventStreamResponse(Endless()),
        EventStreamResponse(received),
        EventStreamResponse(subscribe("news", "orders", last_event_id=7), request=request),
    ]


def every_option(request: HttpRequest) -> EventStreamResponse:
    response = EventStreamResponse(
        prices(),
        status=202,
        headers={"X-Prices": "all"},
        request=request,
        heartbeat=timedelta(seconds=5),
        retry=1000,
        first_event_timeout=0.5,
        max_duration=None,
        send_timeout=30,
        finite=True,
        end_event=b"data: [DONE]\n\n",
        error_event="failure",
        format_error=lambda exc: ("failed", type(exc).__name__),
        compress=True,
    )
    response["X-More"] = "1"
    assert_type(response.stream, EventStream)
    assert_type(response.stream.view_name, str)
    return response
