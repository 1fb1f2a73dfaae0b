"""The examples of ``docs/typing.md``."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Unpack

from django.dispatch import receiver
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from adrf_sse.channels import Subscription, subscribe
from adrf_sse.decorators import event_stream, permission_classes
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import Reason, stream_closed
from adrf_sse.streams.options import ResponseOptions
from adrf_sse.streams.stream import EventStream
from adrf_sse.views import AsyncSSEAPIView


async def prices(pk: int, since: str | None = None) -> AsyncIterator[float]:
    yield 1.5


class Prices(AsyncSSEAPIView):
    heartbeat = timedelta(seconds=5)  # or a number

    async def get(self, request: Request, pk: int) -> AsyncIterator[tuple[str, dict[str, float]]]:
        async for price in prices(pk, since=self.last_event_id):
            yield "price", {"eur": price}

    @asynccontextmanager
    async def post(self, request: Request, pk: int) -> AsyncGenerator[AsyncIterator[float], None]:
        yield prices(pk)

    async def put(self, request: Request, pk: int) -> Subscription:
        return subscribe(f"prices.{pk}", last_event_id=self.last_event_id)


@event_stream(methods=["GET", "POST"], heartbeat=5)
@permission_classes([IsAuthenticated])
async def progress(request: Request, pk: int) -> AsyncIterator[str]:
    yield f"job {pk}"


def news(**options: Unpack[ResponseOptions]) -> EventStreamResponse:
    return EventStreamResponse(subscribe("news"), **options)


@receiver(stream_closed)
def count(sender: type[EventStream], stream: EventStream, reason: Reason, duration: float, **kwargs: Any) -> None:
    print(stream.view_name, reason, duration)
