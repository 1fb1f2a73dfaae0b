"""A view that streams channels has no code but their names."""

import asyncio

import pytest
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


async def test_a_channel_view_streams_what_is_published(visit):
    async with visit(Orders.as_view()) as stream:
        assert stream.status_code == 200
        number = await apublish("orders.42", {"status": "paid"}, event="order")
        event = await stream.next()
        assert (event.event, event.data, event.id) == ("order", '{"status":"paid"}', str(number))
    assert subscriber_counts() == {}


async def test_a_client_that_comes_back_gets_what_it_missed(visit):
    async with visit(Orders.as_view()) as stream:
        await apublish("orders.42", "1")
        last = await stream.next()
    await apublish("orders.42", "2")
    for how in ({"headers": {"Last-Event-ID": last.id}}, {"url": f"/?last_event_id={last.id}"}):
        async with visit(Orders.as_view(), **how) as stream:
            assert (await stream.next()).data == "2"


async def test_a_client_that_saw_no_event_comes_back_with_the_place_where_it_began(visit):
    async with visit(Orders.as_view()) as stream:
        place = (await stream.next_chunk()).removeprefix(b"id: ").decode().strip()
    await apublish("orders.42", "missed")
    async with visit(Orders.as_view(), headers={"Last-Event-ID": place}) as stream:
        assert (await stream.next()).data == "missed"


async def test_a_client_with_an_id_that_is_too_old_gets_reset(visit):
    await apublish("orders.42", "kept")
    async with visit(Orders.as_view(), headers={"Last-Event-ID": "5"}) as stream:
        reset, kept = await stream.take(2)
        assert (reset.event, reset.data) == ("reset", '{"last_event_id":5}')
        assert kept.data == "kept"


@pytest.mark.parametrize("permission", [OnlyOrders, AsyncOnlyOrders])
async def test_permissions_are_asked_for_each_channel(visit, permission):
    view = type("View", (Orders,), {"permission_classes": [permission]}).as_view()
    async with visit(view) as stream:
        assert stream.status_code == 200
    async with visit(view, url="/?pk=43") as refused:
        assert refused.status_code == 403
        assert b"43" not in await refused.body(), "whether there is such a channel is nobody's business"
    assert subscriber_counts() == {}


async def test_anonymous_clients_are_refused_before_channels_are_named(visit):
    class Private(ChannelStreamView):
        permission_classes = [IsAuthenticated]

        def get_channels(self):
            raise AssertionError

    async with visit(Private.as_view()) as stream:
        assert stream.status_code == 403


@pytest.mark.parametrize("pk", ["a%20b", "%00", "x" * 200, "%C3%A4"])
async def test_a_bad_name_is_the_clients_fault(visit, pk):
    async with visit(Orders.as_view(), url=f"/?pk={pk}") as stream:
        assert stream.status_code == 400
        assert "A stream has 1 to 100 channels." in (await stream.json())["detail"]


@pytest.mark.parametrize("count", [0, 101])
async def test_the_number_of_channels_is_limited(visit, count):
    class Many(ChannelStreamView):
        def get_channels(self):
            return [f"c{n}" for n in range(count)]

    async with visit(Many.as_view()) as stream:
        assert stream.status_code == 400
        assert "A stream has 1 to 100 channels." in (await stream.json())["detail"]


async def test_get_channels_may_be_a_coroutine_function(visit):
    class Async(ChannelStreamView):
        async def get_channels(self):
            return ["news"]

    async with visit(Async.as_view()) as stream:
        await apublish("news", "x")
        assert (await stream.next()).data == "x"


async def test_head_subscribes_to_nothing(visit):
    async with visit(Orders.as_view(), method="head") as stream:
        assert stream.status_code == 200
        assert subscriber_counts() == {}
        assert await stream.body() == b""


async def test_a_handler_may_mix_channels_with_its_own_events(visit):
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


async def test_a_plain_view_may_return_a_subscription(visit):
    async def view(request):
        return EventStreamResponse(subscribe("news"))

    async with visit(view) as stream:
        await stream.next_chunk()
        await apublish("news", "x")
        assert (await stream.next()).data == "x"
    assert subscriber_counts() == {}


async def test_thousands_of_events_come_each_once_and_in_order(visit):
    async with visit(Orders.as_view()) as stream:

        async def publisher():
            for n in range(2000):
                await apublish("orders.42", str(n))

        publishing = asyncio.create_task(publisher())
        assert [event.data for event in await stream.take(2000, timeout=30)] == [str(n) for n in range(2000)]
        await publishing


async def test_a_client_that_takes_nothing_is_let_go_and_comes_back(visit, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 10, "CHANNEL_HISTORY": 100_000}
    ends = asyncio.Queue()

    def closed(sender, reason, events, **kwargs):
        ends.put_nowait(reason)

    stream_closed.connect(closed)
    async with visit(Orders.as_view()) as stream:
        await apublish("orders.42", "1")
        last = await stream.next()
        while ends.empty():  # nothing reads
            await apublish("orders.42", "more" * 1000)
            await asyncio.sleep(0)
        assert await ends.get() == "timeout"
    stream_closed.disconnect(closed)
    async with visit(Orders.as_view(), headers={"Last-Event-ID": last.id}) as stream:
        assert (await stream.next()).data == "more" * 1000


async def test_rights_to_channels_are_checked_again(visit):
    allowed = {"news", "orders.42"}
    ends = asyncio.Queue()

    class Allowed(BasePermission):
        def has_object_permission(self, request, view, obj):
            return obj in allowed

    class News(ChannelStreamView):
        permission_classes = [Allowed]
        reauthorize_interval = 0.01

        async def get_channels(self):
            return [name for name in ("news", "orders.42") if name in allowed or self.request.GET.get("all")]

    def closed(sender, reason, **kwargs):
        ends.put_nowait(reason)

    stream_closed.connect(closed)
    for url in ("/", "/?all=1"):
        allowed.add("news")
        async with visit(News.as_view(), url=url) as stream:
            await apublish("news", "x")
            assert (await stream.next()).data == "x"
            allowed.remove("news")
            assert await ends.get() == "revoked"
    stream_closed.disconnect(closed)
    assert subscriber_counts() == {}


async def test_signals_tell_of_events_and_of_subscribers_that_fell_behind(settings):
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


async def test_events_of_channels_may_be_typed(visit):
    class Prices(ChannelStreamView):
        event_serializers = {"price": Price}
        first_event_timeout = 0

        def get_channels(self):
            return ["prices"]

    first = await apublish("prices", {"eur": "1.5", "secret": 1}, event="price")
    async with visit(Prices.as_view(), headers={"Last-Event-ID": str(first - 1)}) as stream:
        event = await stream.next()
        assert (event.data, event.id) == ('{"eur":"1.50"}', str(first))
        await apublish("prices", "x", event="undeclared")
        assert (await stream.next()).event == "error"


async def test_channels_may_be_read_as_json_lines(visit):
    class News(ChannelStreamView):
        renderer_classes = [EventStreamRenderer, JSONLinesRenderer]
        first_event_timeout = 0

        def get_channels(self):
            return ["news"]

    first = await apublish("news", "old")
    headers = {"Accept": "application/jsonl", "Last-Event-ID": str(first)}
    async with visit(News.as_view(), headers=headers) as stream:
        number = await apublish("news", {"n": [1]}, event="story")
        assert await stream.next_chunk() == b'{"event":"story","id":"%d","data":{"n":[1]}}\n' % number
    assert subscriber_counts() == {}


async def test_streams_share_an_events_bytes_and_have_no_task_of_their_own(visit):
    async with visit(Orders.as_view()) as one, visit(Orders.as_view()) as other:
        assert (await one.next_chunk()).startswith(b"id: ")
        assert (await other.next_chunk()).startswith(b"id: ")
        await apublish("orders.42", "x")
        assert await one.next_chunk() is await other.next_chunk()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "Subscription"]


@pytest.mark.parametrize("names", [None, "news", 5])
async def test_what_is_no_list_of_names_is_the_developers_fault(visit, names, caplog):
    class Wrong(ChannelStreamView):
        def get_channels(self):
            return names

    async with visit(Wrong.as_view()) as stream:
        assert stream.status_code == 500
    assert "channels must be a list of names, got " in caplog.text
