"""Tests of views that stream channels."""

import asyncio

import pytest
from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.serializers import DecimalField, Serializer

from adrf_sse.channels import apublish, subscribe, subscriber_counts
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import event_received, stream_closed, subscriber_dropped
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView

pytestmark = pytest.mark.usefixtures("broker")


class Orders(ChannelStreamView):
    def get_channels(self):
        return [f"orders.{self.request.GET.get('pk', '42')}"]


class OnlyOrders(BasePermission):
    message = "Not yours."

    def has_object_permission(self, request, view, obj):
        return obj == "orders.42"


class AsyncOnlyOrders(BasePermission):
    async def has_permission(self, request, view):
        return True

    async def has_object_permission(self, request, view, obj):
        return obj == "orders.42"


async def test_a_channel_view_streams_published_events(visit):
    async with visit(Orders.as_view()) as stream:
        assert stream.status_code == 200
        ready = await stream.next()
        assert (ready.event, ready.data) == ("ready", "{}")
        number = await apublish("orders.42", {"status": "paid"}, event="order")
        event = await stream.next()
        assert (event.event, event.data, event.id) == ("order", '{"status":"paid"}', str(number))
    assert subscriber_counts() == {}


async def test_a_client_that_reconnects_receives_the_events_that_it_missed(visit):
    async with visit(Orders.as_view()) as stream:
        await apublish("orders.42", "1")
        _, last = await stream.take(2)
    await apublish("orders.42", "2")
    for request in ({"headers": {"Last-Event-ID": last.id}}, {"url": f"/?last_event_id={last.id}"}):
        async with visit(Orders.as_view(), **request) as stream:
            missed, ready = await stream.take(2)
            assert (missed.data, ready.event, ready.id) == ("2", "ready", missed.id)


async def test_a_client_that_received_no_event_resumes_from_where_its_stream_started(visit):
    async with visit(Orders.as_view()) as stream:
        ready = await stream.next()
        assert ready.event == "ready"
    await apublish("orders.42", "missed")
    async with visit(Orders.as_view(), headers={"Last-Event-ID": ready.id}) as stream:
        assert (await stream.next()).data == "missed"


async def test_a_client_whose_last_event_id_is_too_old_receives_a_reset(visit):
    await apublish("orders.42", "kept")
    async with visit(Orders.as_view(), headers={"Last-Event-ID": "5"}) as stream:
        reset, kept = await stream.take(2)
        assert (reset.event, reset.data) == ("reset", '{"last_event_id":5}')
        assert kept.data == "kept"


@pytest.mark.parametrize(
    "request_",
    [{"headers": {"Last-Event-ID": "x" * 1025}}, {"url": f"/?last_event_id={'x' * 1025}"}],
    ids=["header", "query"],
)
async def test_a_last_event_id_that_is_too_long_is_unknown_and_not_sent_back(visit, request_):
    async with visit(Orders.as_view(), **request_) as stream:
        reset = await stream.next()
        assert (reset.event, reset.data) == ("reset", '{"last_event_id":null}')


@pytest.mark.parametrize("permission", [OnlyOrders, AsyncOnlyOrders])
async def test_object_permissions_are_checked_for_each_channel(visit, permission):
    view = type("View", (Orders,), {"permission_classes": [permission]}).as_view()
    async with visit(view) as stream:
        assert stream.status_code == 200
    async with visit(view, url="/?pk=43") as refused:
        assert refused.status_code == 403
        assert b"43" not in await refused.body(), "the response must not reveal whether the channel exists"
    assert subscriber_counts() == {}


async def test_an_unauthenticated_client_is_refused_before_get_channels_is_called(visit):
    class Private(ChannelStreamView):
        permission_classes = [IsAuthenticated]

        def get_channels(self):
            raise AssertionError

    async with visit(Private.as_view()) as stream:
        assert stream.status_code == 403


@pytest.mark.parametrize("pk", ["a%20b", "%00", "x" * 200, "%C3%A4"])
async def test_an_invalid_channel_name_is_a_400_response(visit, pk):
    async with visit(Orders.as_view(), url=f"/?pk={pk}") as stream:
        assert stream.status_code == 400
        assert "A stream has 1 to 100 channels." in (await stream.json())["detail"]


@pytest.mark.parametrize("count", [0, 101])
async def test_too_few_or_too_many_channels_are_a_400_response(visit, count):
    class Many(ChannelStreamView):
        def get_channels(self):
            return [f"c{n}" for n in range(count)]

    async with visit(Many.as_view()) as stream:
        assert stream.status_code == 400
        assert "A stream has 1 to 100 channels." in (await stream.json())["detail"]


async def test_get_channels_can_be_a_coroutine_function(visit):
    class Async(ChannelStreamView):
        async def get_channels(self):
            return ["news"]

    async with visit(Async.as_view()) as stream:
        assert (await stream.next()).event == "ready"
        await apublish("news", "x")
        assert (await stream.next()).data == "x"


async def test_a_head_request_does_not_subscribe(visit):
    async with visit(Orders.as_view(), method="head") as stream:
        assert stream.status_code == 200
        assert subscriber_counts() == {}
        assert await stream.body() == b""


async def test_a_handler_can_combine_a_channel_with_its_own_events(visit):
    class Mixed(AsyncSSEAPIView):
        async def get(self, request):
            async with subscribe("news", last_event_id=self.last_event_id) as events:
                yield "hello", {}
                async for event in events:
                    yield event

    async with visit(Mixed.as_view()) as stream:
        assert (await stream.next()).event == "hello"
        number = await apublish("news", {"n": 1}, event="story")
        event = await stream.next()
        assert (event.event, event.data, event.id) == ("story", '{"n":1}', str(number))
    assert subscriber_counts() == {}


async def test_a_plain_view_can_return_a_subscription(visit):
    async def view(request):
        return EventStreamResponse(subscribe("news"))

    async with visit(view) as stream:
        assert (await stream.next()).event == "ready"
        await apublish("news", "x")
        assert (await stream.next()).data == "x"
    assert subscriber_counts() == {}


async def test_thousands_of_events_arrive_once_each_and_in_order(visit):
    async with visit(Orders.as_view()) as stream:

        async def publisher():
            for n in range(2000):
                await apublish("orders.42", str(n))

        assert (await stream.next()).event == "ready"
        async with asyncio.TaskGroup() as group:  # which ends the reader, too, if publishing fails
            group.create_task(publisher())
            events = await stream.take(2000)
    assert [event.data for event in events] == [str(n) for n in range(2000)]


async def test_a_client_that_stops_reading_is_disconnected_and_can_reconnect(visit, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 10, "CHANNEL_HISTORY": 100_000}
    reasons = asyncio.Queue()

    def closed(sender, reason, events, **kwargs):
        reasons.put_nowait(reason)

    stream_closed.connect(closed)
    async with visit(Orders.as_view()) as stream:
        await apublish("orders.42", "1")
        _, last = await stream.take(2)
        while reasons.empty():  # the client does not read
            await apublish("orders.42", "more" * 1000)
            await asyncio.sleep(0)
        assert await reasons.get() == "timeout"
    stream_closed.disconnect(closed)
    async with visit(Orders.as_view(), headers={"Last-Event-ID": last.id}) as stream:
        assert (await stream.next()).data == "more" * 1000


async def test_permissions_for_channels_are_checked_again_while_the_stream_is_open(visit):
    allowed = {"news", "orders.42"}
    reasons = asyncio.Queue()

    class Allowed(BasePermission):
        def has_object_permission(self, request, view, obj):
            return obj in allowed

    class News(ChannelStreamView):
        permission_classes = [Allowed]
        reauthorize_interval = 0.01

        async def get_channels(self):
            return [name for name in ("news", "orders.42") if name in allowed or self.request.GET.get("all")]

    def closed(sender, reason, **kwargs):
        reasons.put_nowait(reason)

    stream_closed.connect(closed)
    for url in ("/", "/?all=1"):
        allowed.add("news")
        async with visit(News.as_view(), url=url) as stream:
            await apublish("news", "x")
            assert [event.event or event.data for event in await stream.take(2)] == ["ready", "x"]
            allowed.remove("news")
            assert await reasons.get() == "revoked"
    stream_closed.disconnect(closed)
    assert subscriber_counts() == {}


async def test_signals_report_received_events_and_dropped_subscribers(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 2}
    lags, dropped = [], asyncio.Queue()

    def received(sender, channel, lag, **kwargs):
        lags.append((channel, lag))

    def fell_behind(sender, channels, **kwargs):
        dropped.put_nowait(channels)

    event_received.connect(received)
    subscriber_dropped.connect(fell_behind)
    async with subscribe("news", "other"):
        for n in range(3):
            await apublish("news", n)
        assert await dropped.get() == {"news", "other"}
    event_received.disconnect(received)
    subscriber_dropped.disconnect(fell_behind)
    assert [channel for channel, _ in lags] == ["news"] * 3
    assert all(0 <= lag < 60 for _, lag in lags)


class Price(Serializer):
    eur = DecimalField(max_digits=6, decimal_places=2)


async def test_event_serializers_apply_to_events_of_channels(visit):
    class Prices(ChannelStreamView):
        event_serializers = {"price": Price}
        first_event_timeout = 0

        def get_channels(self):
            return ["prices"]

    first = await apublish("prices", {"eur": "1.5", "secret": 1}, event="price")
    async with visit(Prices.as_view(), headers={"Last-Event-ID": str(first - 1)}) as stream:
        event = await stream.next()
        assert (event.data, event.id) == ('{"eur":"1.50"}', str(first))
        ready = await stream.next()
        assert (ready.event, ready.data, ready.id) == ("ready", "{}", str(first))
        await apublish("prices", "x", event="undeclared")
        assert (await stream.next()).event == "error"


async def test_a_channel_can_be_streamed_as_json_lines(visit):
    class News(ChannelStreamView):
        renderer_classes = [EventStreamRenderer, JSONLinesRenderer]
        first_event_timeout = 0

        def get_channels(self):
            return ["news"]

    first = await apublish("news", "old")
    headers = {"Accept": "application/jsonl", "Last-Event-ID": str(first)}
    async with visit(News.as_view(), headers=headers) as stream:
        assert await stream.next_chunk() == b'{"event":"ready","id":"%d","data":{}}\n' % first
        number = await apublish("news", {"n": [1]}, event="story")
        assert await stream.next_chunk() == b'{"event":"story","id":"%d","data":{"n":[1]}}\n' % number
    assert subscriber_counts() == {}


async def test_streams_share_the_bytes_of_an_event_and_start_no_task(visit):
    async with visit(Orders.as_view()) as one, visit(Orders.as_view()) as other:
        assert (await one.next_chunk()).startswith(b"id: ")
        assert (await other.next_chunk()).startswith(b"id: ")
        await apublish("orders.42", "x")
        assert await one.next_chunk() is await other.next_chunk()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "Subscription"]


@pytest.mark.parametrize("names", [None, "news", 5])
async def test_get_channels_that_does_not_return_a_list_is_a_server_error(visit, names, caplog):
    class Wrong(ChannelStreamView):
        def get_channels(self):
            return names

    async with visit(Wrong.as_view()) as stream:
        assert stream.status_code == 500
    assert "channels must be a list of names, got " in caplog.text


@pytest.mark.parametrize("events", [1, 3])
async def test_a_stream_without_the_events_of_its_own_user(visit, events):
    class Room(ChannelStreamView):
        authentication_classes = [Someone]

        def get_channels(self):
            return ["room"]

    async with visit(Room.as_view()) as stream:
        await stream.next_chunk(timeout=20)
        for number in range(events):
            await apublish("room", f"mine {number}", skip_user=Someone.user)
        await apublish("room", "theirs")
        assert (await stream.next(timeout=20)).data == "theirs"


class Someone(BaseAuthentication):
    user = User(pk=7)

    def authenticate(self, request):
        return self.user, None
