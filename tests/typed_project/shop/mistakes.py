"""Mistakes that both checkers must report.

A comment that ignores a report is itself an error if there is nothing to ignore.
"""

from collections.abc import AsyncIterator, Iterator

from rest_framework.request import Request

from adrf_sse.brokers import Broker
from adrf_sse.channels import announce, apublish, publish, subscribe
from adrf_sse.decorators import event_stream, permission_classes
from adrf_sse.events import ServerSentEvent
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import Reason
from adrf_sse.testing import EventParser, EventStreamClient
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView, LiveModelMixin
from shop.prices import prices


async def channels() -> None:
    publish(1, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    publish("news")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    publish("news", {}, "order")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    publish("news", {}, event=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    apublish("news", {})  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    subscribe(["news", "orders"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    subscribe("news", last_event_id=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for _ in subscribe("news"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass


def published_in_a_transaction() -> int:
    return publish("news", {})  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def events() -> None:
    ServerSentEvent("text", "price")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerSentEvent("text", event=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerSentEvent("text", id=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerSentEvent("text", retry="3000")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerSentEvent("text", name="price")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerSentEvent("text").data = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    EventParser().feed("data: 1\n\n")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def views() -> None:
    class Options(AsyncSSEAPIView):
        heartbeat = "5"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        retry = 1.5  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        first_event_timeout = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        max_duration = "1h"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        send_timeout = [30]  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        reauthorize_interval = "60"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        finite = "yes"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        wants_stream = True  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        error_event = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        compress = "gzip"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        event_serializers = {"price": "PriceSerializer"}  # type: ignore[dict-item]  # pyright: ignore[reportAssignmentType]
        renderer_classes = ["EventStreamRenderer"]  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]

    class NumberedChannels(ChannelStreamView):
        def get_channels(self) -> list[int]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return [1]

    print(Options, NumberedChannels)


def functions() -> None:
    @event_stream  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def a_list(request: Request) -> list[int]:
        return [1]

    @event_stream  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def without_request() -> Iterator[str]:
        yield "text"

    @event_stream(heartbeat="5")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]
    async def a_wrong_value(request: Request) -> AsyncIterator[str]:
        yield "text"

    @event_stream(hearbeat=5)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
    async def an_unknown_option(request: Request) -> AsyncIterator[str]:
        yield "text"

    @event_stream(methods=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    @permission_classes(["IsAuthenticated"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    async def a_wrong_policy(request: Request) -> AsyncIterator[str]:
        yield "text"

    print(a_list, without_request, a_wrong_value, an_unknown_option, a_wrong_policy)


def responses() -> None:
    EventStreamResponse([1, 2])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EventStreamResponse("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EventStreamResponse(prices)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EventStreamResponse(prices(), heartbeat="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EventStreamResponse(prices(), hearbeat=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    EventStreamResponse(prices(), reauthorize_interval=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    EventStreamResponse(prices(), 201)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def signals(reason: Reason) -> bool:
    return reason == "closed"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]


def brokers() -> None:
    class Incomplete(Broker):
        def publish(self, channel: str, body: str) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return 1

    Incomplete()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


async def testing(client: EventStreamClient) -> None:
    print(client.get("/prices/").status_code)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    with client.get("/prices/") as stream:
        await stream.next()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async with client.get("/prices/") as asynchronous:
        print(asynchronous.next().data)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    for _ in client.get("/prices/"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass


def live() -> None:
    class Live(LiveModelMixin):
        live_by = 1  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        heartbeat = "5"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

        def get_live_partition(self) -> list[str]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return ["everybody"]

    announce("orders")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    announce([1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    print(Live)
