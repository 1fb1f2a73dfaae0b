"""View classes with every kind of handler and every option."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from adrf_sse import ServerSentEvent
from adrf_sse.channels import Subscription, subscribe
from adrf_sse.events import END_ID
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView, last_event_id
from shop.prices import Price, prices, stored_prices


class Numbers(AsyncSSEAPIView):
    """Options as numbers."""

    permission_classes = [IsAuthenticated]
    renderer_classes = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]
    heartbeat = 5
    retry = 3000
    first_event_timeout = 0.5
    max_duration = 3600
    send_timeout = 10.0
    reauthorize_interval = 60
    finite = True
    end_event = "[DONE]"
    error_event = "failure"
    compress = True

    async def get(self, request: Request) -> AsyncIterator[tuple[str, dict[str, str], int]]:
        async for price in prices(since=self.last_event_id):
            yield "price", {"eur": str(price.eur)}, price.id


class Durations(AsyncSSEAPIView):
    """Options as ``timedelta``."""

    renderer_classes = (EventStreamRenderer,)
    heartbeat = timedelta(seconds=5)
    retry = timedelta(seconds=3)
    first_event_timeout = timedelta(milliseconds=500)
    max_duration = timedelta(hours=1)
    send_timeout = timedelta(seconds=10)
    reauthorize_interval = timedelta(minutes=1)

    async def post(self, request: Request, pk: int) -> AsyncGenerator[ServerSentEvent | str, None]:
        if pk not in (1, 2):
            raise NotFound()
        yield "text"
        yield ServerSentEvent({"pk": pk}, event="order", id=pk, retry=timedelta(seconds=1), comment="a comment")


class Hooks(AsyncSSEAPIView):
    """Methods that decide what clients receive."""

    end_event = ("complete", {"reason": "stop"})

    def wants_stream(self, request: Request) -> bool | None:
        return request.query_params.get("stream") == "1"

    def format_error(self, exc: Exception) -> tuple[str, dict[str, str]] | None:
        return None if isinstance(exc, NotFound) else ("failed", {"type": type(exc).__name__})

    async def post(self, request: Request) -> AsyncIterator[str]:
        yield "text"


class AsyncHooks(AsyncSSEAPIView):
    """The same as coroutine functions."""

    async def wants_stream(self, request: Request) -> bool:
        return True

    async def format_error(self, exc: Exception) -> object:
        return super().format_error(exc)


class NoLimits(AsyncSSEAPIView):
    """Options that are ``None``."""

    heartbeat = None
    retry = None
    max_duration = None
    send_timeout = None
    reauthorize_interval = None

    def get(self, request: Request, *args: object, **kwargs: object) -> Iterator[dict[str, int]]:
        for price in stored_prices():
            yield {"id": price.id}


class AnnotatedOptions(AsyncSSEAPIView):
    """Options with annotations of their own, which a subclass changes."""

    heartbeat: float | timedelta | None = 5

    async def get(self, request: Request) -> AsyncIterator[object]:
        yield {"heartbeat": str(self.heartbeat), "finite": self.finite}


class ChangedOptions(AnnotatedOptions):
    heartbeat = timedelta(seconds=1)


class OptionsOfTheRequest(AsyncSSEAPIView):
    """Options that depend on the request."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.first_event_timeout = timedelta(seconds=10) if "stream" in request.query_params else 1


class Returned(AsyncSSEAPIView):
    """Handlers that return sources and responses."""

    async def get(self, request: Request) -> AsyncIterator[Price]:
        return prices()

    async def post(self, request: Request) -> Response:
        return Response(prices(), status=201, headers={"X-Prices": "all"})

    async def put(self, request: Request) -> HttpResponseBase:
        if request.data:
            return HttpResponse(status=204)
        return EventStreamResponse(prices())

    def patch(self, request: Request) -> Response:
        return Response(iter([1, 2]))

    async def delete(self, request: Request) -> Subscription:
        return subscribe("orders", last_event_id=self.last_event_id)


class Managed(AsyncSSEAPIView):
    """A handler that opens what its events depend on."""

    @asynccontextmanager
    async def get(self, request: Request) -> AsyncGenerator[AsyncIterator[str], None]:
        queue: asyncio.Queue[str] = asyncio.Queue(10)
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put("news"))
            yield self._merged(queue)

    async def _merged(self, queue: asyncio.Queue[str]) -> AsyncIterator[str]:
        yield await queue.get()


class Reauthorized(AsyncSSEAPIView):
    reauthorize_interval = 60

    async def get(self, request: Request) -> AsyncIterator[str]:
        yield str(self.kwargs["pk"])

    def reauthorize(self, request: Request) -> None:
        super().reauthorize(request)
        self.check_object_permissions(request, self.kwargs["pk"])


class OwnsOrder(IsAuthenticated):
    def has_object_permission(self, request: Request, view: APIView, obj: str) -> bool:
        return obj.removeprefix("orders.") == str(request.user.pk)


class OrderStream(ChannelStreamView):
    """A plain ``get_channels()``."""

    permission_classes = [OwnsOrder]

    def get_channels(self) -> list[str]:
        return [f"orders.{self.kwargs['pk']}"]


class NewsStream(ChannelStreamView):
    """A ``get_channels()`` that is a coroutine function."""

    async def get_channels(self) -> list[str]:
        return ["news"]

    def get_permissions(self) -> list[BasePermission]:
        return [IsAuthenticated()]


class ManyChannels(ChannelStreamView):
    """A ``get_channels()`` that is a generator, and one that is annotated as widely as possible."""

    def get_channels(self) -> Iterable[str]:
        yield "news"
        yield "orders"


class GreetedOrderStream(OrderStream):
    """A handler of its own in front of the channels."""

    async def get(self, request: Request, pk: int) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(event="hello")
        async with await super().get(request) as events:
            async for event in events:
                yield event


async def plain_django_view(request: HttpRequest) -> HttpResponseBase:
    if last_event_id(request) == END_ID:
        return HttpResponse(status=204)
    return EventStreamResponse(prices(since=last_event_id(request)), finite=True)
