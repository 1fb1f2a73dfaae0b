"""The examples of ``docs/channels.md``."""

import re
from asyncio import run
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User

from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.testing import StreamEnded
from tests.docs.conftest import SESSIONS
from tests.docs.examples import code_blocks
from tests.support.ports import free_port
from tests.support.redis_server import redis_server, use_redis


async def test_a_channel_is_streamed(channels_page, event_stream_client):
    async with event_stream_client.get("/orders/42/events/") as stream:
        channels_page["pay"](Group(pk=42))
        _, event = await stream.take(2)
    assert (event.event, event.data) == ("order", '{"status":"paid"}')


@pytest.mark.django_db(transaction=True)
def test_an_order_that_is_saved_in_a_transaction_is_published(channels_page):
    order = Group.objects.create(name="Tea pot")
    before = publish("news", "before")
    channels_page["ship"](order)
    event = run(first_event(f"orders.{order.pk}", before))
    assert (event.event, event.data) == ("order", {"status": "shipped"})


@pytest.mark.django_db(transaction=True)
def test_a_saved_order_is_announced(channels_page):
    before = publish("news", "before")
    order = Group.objects.create(name="Tea pot")
    event = run(first_event(f"orders.{order.pk}", before))
    assert (event.event, event.data) == ("order", {"name": "Tea pot"})


@pytest.mark.django_db(transaction=True)
def test_an_order_is_saved_without_an_error_while_redis_is_unavailable(channels_page, settings, caplog):
    use_redis(settings, f"redis://127.0.0.1:{free_port()}/0")
    Group.objects.create(name="Tea pot")
    assert any(record.exc_info and record.exc_info[0] is BrokerUnavailable for record in caplog.records)


async def first_event(channel: str, after: int) -> Any:
    async with subscribe(channel, last_event_id=after) as events:
        return await anext(events)


@pytest.mark.django_db(transaction=True)
async def test_a_user_who_does_not_own_the_order_is_refused(channels_page, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")

    class Stream(channels_page["MyOrderStream"]):
        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 403
    await order.user_set.aadd(alice)
    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 200
    async with visit(Stream.as_view()) as stream:
        assert stream.status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_the_stream_ends_when_the_user_no_longer_owns_the_order(channels_page, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")
    await order.user_set.aadd(alice)

    class Stream(channels_page["MyOrderStream"]):
        reauthorize_interval = 0.01

        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS, served=True) as stream:
        assert stream.status_code == 200
        await order.user_set.aremove(alice)
        with pytest.raises(StreamEnded):
            await stream.take(2, timeout=30)


@pytest.mark.django_db(transaction=True)
async def test_a_member_who_is_removed_is_disconnected_and_then_refused(channels_page, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")
    await order.user_set.aadd(alice)

    class Stream(channels_page["MyOrderStream"]):
        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS, served=True) as stream:
        assert (await stream.next()).event == "ready"
        await sync_to_async(channels_page["remove_member"])(order, alice)
        with pytest.raises(StreamEnded):
            await stream.next(timeout=30)
    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 403


@pytest.fixture
def order_page(channels_page, settings):
    """The view of a page that is rendered with the state."""
    template = next(block.code for block in code_blocks("channels.md") if 'new EventSource("{%' in block.code)
    loader = ("django.template.loaders.locmem.Loader", {"order.html": template})
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [loader]}}
    ]
    return channels_page["order_page"]


async def stream_of(order_page: Any, rf: Any) -> str:
    """Return the path of the stream that the page of an order opens."""
    order, _ = await Group.objects.aget_or_create(pk=1234, name="Tea pot")
    page = await sync_to_async(order_page)(rf.get("/"), pk=order.pk)
    return re.search(r'EventSource\("(.*)"\)', page.content.decode())[1]


@pytest.mark.django_db(transaction=True)
async def test_a_page_with_thousand_separators_gets_what_came_after_its_state(
    order_page, event_stream_client, rf, settings
):
    settings.USE_THOUSAND_SEPARATOR = True
    await apublish("orders.1234", "before")
    url = await stream_of(order_page, rf)
    await apublish("orders.1234", "after")
    async with event_stream_client.get(url) as stream:
        after, ready = await stream.take(2)
    assert (after.data, ready.event) == ("after", "ready")


@pytest.mark.django_db(transaction=True)
async def test_a_page_that_is_opened_while_redis_is_unavailable_reloads_once_when_it_is_back(
    order_page, event_stream_client, rf, settings
):
    with redis_server() as redis:
        use_redis(settings, redis.url)
        await apublish("orders.1234", "before")
        redis.kill()
        async with event_stream_client.get(await stream_of(order_page, rf)) as stream:
            assert stream.status_code == 200
            redis.start()
            assert (await stream.next(timeout=30)).event == "reset"
        reloaded = await stream_of(order_page, rf)
        await apublish("orders.1234", "after")
        async with event_stream_client.get(reloaded) as stream:
            after, ready = await stream.take(2)
    assert (after.data, ready.event) == ("after", "ready")


async def test_a_dashboard_sends_its_state_first_and_again_after_a_reset(channels_page, visit):
    view = channels_page["Dashboard"].as_view()
    async with visit(view) as stream:
        await apublish("news", "x")
        state, news = await stream.take(2)
        assert (state.event, state.data, news.data) == ("state", '{"orders":3}', "x")
    await apublish("news", "y")
    async with visit(view, headers={"Last-Event-ID": news.id}) as stream:
        assert (await stream.next()).data == "y"
    async with visit(view, headers={"Last-Event-ID": "5"}) as stream:
        state, *news = await stream.take(3)
        assert (state.event, [event.data for event in news]) == ("state", ["x", "y"])
        assert int(state.id) < int(news[0].id)


async def test_a_plain_view_streams_a_channel(channels_page, visit):
    first = await apublish("news", "x")
    await apublish("news", "y")
    async with visit(channels_page["news"], url=f"/?last_event_id={first}") as stream:
        assert (await stream.next()).data == "y"


async def test_last_event_id_zero_requests_the_whole_history(channels_page, visit):
    await apublish("news", "x")
    async with visit(channels_page["news"], url="/?last_event_id=0") as stream:
        assert [event.event or event.data for event in await stream.take(2)] == ["reset", "x"]
