"""Tests of ``disconnect()`` and ``manage.py sse_disconnect``."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import CommandError, call_command
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import message_body
from adrf_sse.brokers.redis import RedisBroker
from adrf_sse.channels import adisconnect, apublish, disconnect, subscribe, subscriber_counts
from adrf_sse.channels.channel import CONTROL_CHANNEL
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import stream_closed
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView
from tests.support.redis_server import redis_server, use_redis


class ByName(BaseAuthentication):
    """Authenticate the user whose primary key is in the query."""

    def authenticate(self, request):
        pk = request.query_params.get("user")
        return (User(pk=pk), None) if pk else None


async def forever():
    yield "first"
    await asyncio.Event().wait()


class Channels(ChannelStreamView):
    authentication_classes = [ByName]

    def get_channels(self):
        return self.request.GET.getlist("channel")


class Generator(AsyncSSEAPIView):
    """Subscribe in the generator."""

    authentication_classes = [ByName]

    async def get(self, request):
        async with subscribe(*request.GET.getlist("channel")) as events:
            yield "first"
            async for event in events:
                yield event


class Group(AsyncSSEAPIView):
    """Subscribe in a task that the source starts."""

    authentication_classes = [ByName]

    @asynccontextmanager
    async def get(self, request):
        async def read():
            async with subscribe(*request.GET.getlist("channel")) as events:
                await queue.put("first")
                async for event in events:
                    await queue.put(event)

        async def consume():
            while True:
                yield await queue.get()

        queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            yield consume()


class Endless(AsyncSSEAPIView):
    authentication_classes = [ByName]

    async def get(self, request):
        async for event in forever():
            yield event


@api_view()
@renderer_classes([EventStreamRenderer])
def stock(request):
    return Response(forever())


stock.cls.authentication_classes = [ByName]


async def plain(request):
    """Authenticate as Django's middleware does, when the user is asked for."""
    if "user" in request.GET:
        request.user = User(pk=request.GET["user"])
    return EventStreamResponse(forever())


VIEWS = {
    "channels": Channels.as_view(),
    "generator": Generator.as_view(),
    "group": Group.as_view(),
    "endless": Endless.as_view(),
    "stock": stock,
    "plain": plain,
}


@pytest.fixture
def urls(settings):
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = type(
        "URLs", (), {"urlpatterns": [path(f"{name}/", view, name=name) for name, view in VIEWS.items()]}
    )


@pytest.fixture
def reasons():
    """The reasons of the streams that have ended."""
    queue = asyncio.Queue()

    def closed(sender, reason, **kwargs):
        queue.put_nowait(reason)

    stream_closed.connect(closed)
    yield queue
    stream_closed.disconnect(closed)


@asynccontextmanager
async def streams(*urls):
    """Open streams, and read the first chunk of each."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(EventStreamClient().get(url)) for url in urls]
        for stream in opened:
            await stream.next_chunk()
        yield opened


async def has_ended(stream):
    try:
        while True:
            await stream.next(timeout=30)
    except StreamEnded:
        return True


async def is_open(stream, channel):
    """Return whether a stream still receives the events of a channel."""
    await apublish(channel, "still there")
    return (await stream.next(timeout=30)).data == "still there"


async def rest(stream):
    """Return what a stream sends before it ends."""
    received = b""
    while chunk := await stream.next_chunk(timeout=30):
        received += chunk
    return received


@pytest.mark.usefixtures("urls", "broker")
@pytest.mark.parametrize("name", ["channels", "endless"])
async def test_many_clients_that_are_disconnected_together_return_one_after_another(name, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RECONNECT_RATE": 1}
    async with streams(*[f"/{name}/?channel=a"] * 50) as opened:
        await adisconnect(view=name)
        ends = [await rest(stream) for stream in opened]
    delays = [int(end.removeprefix(b"retry: ").removesuffix(b"\n")) for end in ends]
    assert 1000 <= min(delays) < 25_000
    assert 25_000 < max(delays) <= 51_000


@pytest.mark.usefixtures("urls", "broker")
@pytest.mark.parametrize("name", ["channels", "endless"])
async def test_few_clients_that_are_disconnected_together_return_when_they_like(name):
    async with streams(*[f"/{name}/?channel=a"] * 5) as opened:
        await adisconnect(view=name)
        assert [await rest(stream) for stream in opened] == [b""] * 5


@pytest.mark.usefixtures("urls", "broker")
@pytest.mark.parametrize("name", ["channels", "generator", "group"])
async def test_the_streams_of_a_user_on_a_channel_end(name, reasons):
    mine, other_user, other_channel = (
        f"/{name}/?user=7&channel=a",
        f"/{name}/?user=8&channel=a",
        f"/{name}/?user=7&channel=b",
    )
    async with streams(mine, other_user, other_channel) as (ended, *others):
        await adisconnect(user=User(pk=7), channel="a")
        assert await has_ended(ended)
        assert await reasons.get() == "revoked"
        assert await is_open(others[0], "a")
        assert await is_open(others[1], "b")
        await sync_to_async(disconnect)(user="7", channel="b")
        assert await has_ended(others[1])
        assert await is_open(others[0], "a")
        await adisconnect(channel="a")
        assert await has_ended(others[0])
    assert subscriber_counts() == {}


@pytest.mark.usefixtures("urls", "broker")
@pytest.mark.parametrize("name", ["channels", "generator", "endless", "stock", "plain"])
async def test_the_streams_of_a_user_in_a_view_end(name, reasons):
    async with streams(f"/{name}/?user=7&channel=a", "/endless/", f"/{name}/?channel=a") as (ended, other, anonymous):
        await adisconnect(user=7)
        assert await has_ended(ended)
        assert await reasons.get() == "revoked"
        await adisconnect(view=name)
        assert await has_ended(anonymous)
        if name != "endless":
            await adisconnect(view="endless", user=7)
            assert other.status_code == 200
            await adisconnect(view="endless")
        assert await has_ended(other)


@pytest.mark.usefixtures("urls", "broker")
async def test_a_subscription_that_was_left_does_not_count(settings):
    class Leaving(AsyncSSEAPIView):
        async def get(self, request):
            async with subscribe("a"), subscribe("a"):
                pass
            async with subscribe("b") as events:
                yield "first"
                async for event in events:
                    yield event

    settings.ROOT_URLCONF.urlpatterns.append(path("leaving/", Leaving.as_view()))
    async with streams("/leaving/") as [stream]:
        await adisconnect(channel="a")
        assert await is_open(stream, "b")
        await adisconnect(channel="b")
        assert await has_ended(stream)


@pytest.mark.usefixtures("urls")
async def test_a_json_list_that_is_being_collected_is_refused(settings):
    opened = asyncio.Event()

    class List(Endless):
        renderer_classes = [EventStreamRenderer, JSONRenderer]

        async def get(self, request):
            yield "first"
            opened.set()
            await asyncio.Event().wait()

    settings.ROOT_URLCONF.urlpatterns.append(path("list/", List.as_view(), name="list"))
    request = EventStreamClient().get("/list/?user=7", headers={"Accept": "application/json"})
    async with asyncio.TaskGroup() as group:
        response = group.create_task(request.__aenter__())
        await opened.wait()
        await adisconnect(user=7, view="list")
        stream = await response
    assert stream.status_code == 403
    await request.__aexit__(None, None, None)


async def test_the_user_of_a_plain_view_is_the_one_that_the_middleware_loads(visit, db_user):
    async def lazy(request):
        await request.auser()
        return EventStreamResponse(forever())

    async def later(request):
        async def source():
            yield "first"
            await sync_to_async(lambda: request.user.is_authenticated)()
            yield "second"
            await asyncio.Event().wait()

        return EventStreamResponse(source())

    sessions = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )
    for view, chunks in ((lazy, 1), (later, 2)):
        async with visit(view, user=db_user, middleware=sessions) as stream:
            await stream.take(chunks)
            await adisconnect(user=db_user)
            assert await has_ended(stream)


@pytest.fixture
def db_user(transactional_db):
    return User.objects.create_user("alice")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "must get a user, a channel or a view, got none"),
        ({"user": None, "view": None}, "must get a user, a channel or a view, got none"),
        ({"user": AnonymousUser()}, "user must be an authenticated user, got <"),
        ({"channel": "a b"}, "a channel's name must be 1 to 200"),
        ({"view": 5}, "view must be the name of a view, got 5"),
    ],
)
async def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=words):
        disconnect(**arguments)
    with pytest.raises((TypeError, ValueError), match=words):
        await adisconnect(**arguments)


@pytest.mark.usefixtures("urls")
async def test_the_memory_broker_needs_no_task():
    async with streams("/channels/?channel=a"):
        assert not [task for task in asyncio.all_tasks() if "control" in task.get_name()]


# Other processes


@pytest.fixture
def elsewhere(redis_url, settings, urls):
    """Publish to the control channel as another process does."""
    use_redis(settings, redis_url, socket_timeout=30)
    other = RedisBroker(redis_url)

    async def publish(event="disconnect", **criteria):
        await other.apublish(CONTROL_CHANNEL, message_body(criteria, event))

    return publish


async def test_another_process_ends_the_streams_that_match(elsewhere, reasons):
    async with streams("/channels/?user=7&channel=a", "/endless/?user=8") as (mine, other):
        await elsewhere(user="7", channel=None, view=None)
        assert await has_ended(mine)
        await elsewhere(user="8", channel=None, view="endless")
        assert await has_ended(other)
    assert [await reasons.get(), await reasons.get()] == ["revoked", "revoked"]
    assert subscriber_counts() == {}


async def test_what_others_publish_to_the_control_channel_is_skipped(elsewhere, caplog):
    async with streams("/endless/?user=7") as [stream]:
        await elsewhere("other", user="7")
        await elsewhere()
        await elsewhere(everything=True)
        await elsewhere(user="7", view="no such view")
        await elsewhere(user="7")
        assert await has_ended(stream)
    skipped = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(skipped) == 2
    assert all("adrf-sse.control that this package did not publish" in message for message in skipped)


async def test_a_stream_is_ended_that_opened_before_the_process_has_subscribed(elsewhere):
    for _ in range(5):
        async with streams("/endless/?user=7") as [stream]:
            await elsewhere(user="7")
            assert await has_ended(stream)


async def test_a_stream_that_opens_later_is_not_ended_by_an_old_request(elsewhere, monkeypatch):
    monkeypatch.setattr("adrf_sse.channels.disconnection.CLOCK_MARGIN", 0.0)
    async with streams("/endless/?user=7") as [stream]:
        await elsewhere(user="7")
        assert await has_ended(stream)
    async with streams("/channels/?user=7&channel=a") as [stream]:
        await elsewhere(user="8")
        assert await is_open(stream, "a")


async def test_one_task_and_one_connection_follow_for_all_streams_and_end_with_them(elsewhere, redis_url):
    admin = RedisBroker(redis_url)._client._client
    async with streams(*["/endless/"] * 5):
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "adrf_sse control"]
        assert len(tasks) == 1
        while admin.pubsub_numsub("{adrf_sse}:0:adrf-sse.control") != [(b"{adrf_sse}:0:adrf-sse.control", 1)]:
            await asyncio.sleep(0)
    while admin.pubsub_numsub("{adrf_sse}:0:adrf-sse.control") != [(b"{adrf_sse}:0:adrf-sse.control", 0)]:
        await asyncio.sleep(0)
    await asyncio.wait(tasks)


async def test_streams_open_and_this_process_ends_them_while_redis_is_down(settings, urls):
    with redis_server() as server:
        use_redis(settings, server.url)
        server.kill()
        async with streams("/endless/?user=7") as [stream]:
            with pytest.raises(BrokerUnavailable):
                await adisconnect(user=7)
            assert await has_ended(stream)


async def test_a_process_that_had_lost_redis_catches_up(settings, urls, caplog):
    persistent = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with redis_server(*persistent) as server:
        use_redis(settings, server.url)
        other = RedisBroker(server.url)
        async with streams("/endless/?user=7", "/channels/?user=8&channel=a") as (mine, others):
            await apublish("a", "before")
            assert (await others.next()).data == "before"
            server.kill()
            while "Failed at receiving events from Redis" not in caplog.text:
                await asyncio.sleep(0)
            server.start()
            while True:
                try:
                    other.publish(CONTROL_CHANNEL, message_body({"user": "7"}, "disconnect"))
                    break
                except BrokerUnavailable:
                    continue
            assert await has_ended(mine)
            assert await is_open(others, "a")


async def test_a_wrong_broker_does_not_keep_streams_from_opening(settings, urls, caplog):
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "nowhere.Broker"}}
    async with streams("/endless/") as [stream]:
        assert stream.status_code == 200
    assert "Streams can't be ended by other processes." in caplog.text


# The command


@pytest.mark.usefixtures("urls", "broker")
async def test_the_command_ends_streams_and_prints_what_it_asked_for():
    async with streams("/channels/?user=7&channel=a", "/channels/?user=7&channel=b") as (ended, other):
        output, errors = StringIO(), StringIO()
        command = sync_to_async(call_command)
        await command("sse_disconnect", user="7", channel="a", view="channels", stdout=output, stderr=errors)
        assert output.getvalue() == "Asked all processes to end the streams of user 7, channel a, view channels.\n"
        assert ("only this process" in errors.getvalue()) == get_broker().process_local
        assert await has_ended(ended)
        assert await is_open(other, "b")


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "must get --user, --channel or --view, got none"), (["--channel=a b"], "1 to 200")]
)
def test_the_command_refuses_bad_arguments(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("sse_disconnect", *arguments, stdout=StringIO(), stderr=StringIO())


def test_the_command_says_what_to_check_if_redis_is_unavailable(settings):
    use_redis(settings, "redis://127.0.0.1:1/0")
    with pytest.raises(CommandError, match="Check that it runs"):
        call_command("sse_disconnect", "--user=7", stdout=StringIO())
