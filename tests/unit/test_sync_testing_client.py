"""Streams in synchronous tests, which need no pytest-asyncio."""

import asyncio
import gc
import signal
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.test import Client, TestCase, override_settings
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from adrf_sse.channels import publish, subscribe
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView
from tests.support.sources import Recorder

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SYNC_ONLY = "tests.support.middleware.sync_only"


async def count_users():
    return await User.objects.acount()


class Words(AsyncSSEAPIView):
    async def get(self, request):
        for word in "abcd":
            yield word


class Names(AsyncSSEAPIView):
    """Query in ``initial()``, in the source, and in a task that the source starts."""

    def initial(self, request, *args, **kwargs):
        assert User.objects.exists()
        super().initial(request, *args, **kwargs)

    async def get(self, request):
        async for user in User.objects.all():
            yield user.username
        yield await asyncio.create_task(User.objects.acount())
        yield await sync_to_async(lambda: threading.current_thread().name)()


class SyncNames(AsyncSSEAPIView):
    def get(self, request):
        for user in User.objects.all():
            yield user.username
        yield User.objects.count()
        yield threading.current_thread().name


class Unmodified(APIView):
    """A synchronous view that waits for the first event in its thread."""

    renderer_classes = [EventStreamRenderer]
    first_event_timeout = 60
    source = staticmethod(SyncNames.get)

    def get(self, request):
        return Response(self.source(self, request))


class News(ChannelStreamView):
    def get_channels(self):
        return ["news"]


class Members(AsyncSSEAPIView):
    permission_classes = [IsAuthenticated]

    async def get(self, request):
        yield request.user.username


urlpatterns = [
    path("words/", Words.as_view()),
    path("names/", Names.as_view()),
    path("sync/", SyncNames.as_view()),
    path("unmodified/", Unmodified.as_view(source=Names.get)),
    path("unmodified/sync/", Unmodified.as_view()),
    path("news/", News.as_view()),
    path("members/", Members.as_view()),
]


@pytest.fixture
def threads():
    """Check that a test leaves no thread of its own behind."""
    before = threading.enumerate()
    yield
    remaining = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in remaining if name.startswith(("adrf_sse testing", "asyncio"))]


@pytest.fixture(autouse=True)
def project(settings, threads):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = MIDDLEWARE
    settings.ADRF_SSE = {}


@pytest.fixture
def alice(db):
    return User.objects.create_user("alice")


def test_a_synchronous_test_reads_events(event_stream_client):
    with event_stream_client.get("/words/") as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.next(timeout=5).data == "a"
        assert [event.data for event in stream.take(2)] == ["b", "c"]
        assert [event.data for event in stream] == ["d"]
        with pytest.raises(StreamEnded):
            stream.next()
        assert b"".join(stream.chunks).startswith(b"data: a\n\n")
        assert (stream.last_event_id, stream.retry, dict(stream.cookies)) == (None, None, {})


def test_a_synchronous_test_reads_a_whole_response(event_stream_client):
    with event_stream_client.get("/words/") as stream:
        assert stream.body() == b"data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n"
    with event_stream_client.get("/members/") as stream:
        assert (stream.status_code, stream.json()["detail"]) == (403, "Authentication credentials were not provided.")
    with event_stream_client.get("/words/") as stream:
        assert stream.next_chunk()
        stream.disconnect()


@pytest.mark.parametrize("middleware", [[], [SYNC_ONLY]], ids=["", "sync middleware"])
@pytest.mark.parametrize("url", ["/names/", "/sync/", "/unmodified/", "/unmodified/sync/"])
@pytest.mark.parametrize(
    "transaction", [pytest.param(value, marks=pytest.mark.django_db(transaction=value)) for value in (False, True)]
)
@pytest.mark.usefixtures("transaction")
def test_the_project_sees_the_tests_rows(settings, event_stream_client, url, middleware):
    settings.MIDDLEWARE = middleware
    User.objects.create_user("alice")
    with event_stream_client.get(url) as stream:
        assert [event.data for event in stream] == ["alice", "1", threading.current_thread().name]


@pytest.mark.parametrize("middleware", [[], [SYNC_ONLY]], ids=["", "sync middleware"])
def test_an_application_of_ones_own_sees_the_tests_rows(alice, settings, middleware):
    settings.MIDDLEWARE = middleware
    with EventStreamClient(get_asgi_application()).get("/names/") as stream:
        assert [event.data for event in stream] == ["alice", "1", threading.current_thread().name]


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE)
class DjangoTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.alice = User.objects.create_user("alice")

    def test_a_synchronous_test_of_django_sees_its_rows(self):
        with EventStreamClient().get("/members/", user=self.alice) as stream:
            assert stream.next().data == "alice"

    async def test_an_asynchronous_test_of_django_sees_its_rows(self):
        async with EventStreamClient().get("/members/", user=self.alice) as stream:
            assert (await stream.next()).data == "alice"


def test_rows_that_the_test_creates_during_a_stream_are_seen(alice, visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            while True:
                yield await User.objects.acount()

    with visit(View.as_view()) as stream:
        assert stream.next().data == "1"
        User.objects.create_user("bob")
        while stream.next().data != "2":
            pass


def test_the_source_is_closed_when_the_block_ends(visit):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever()

    with visit(View.as_view()) as stream:
        assert stream.next().data == "a"
        assert not source.closed
    assert source.closed
    assert source.close_task is source.start_task


def test_the_source_is_closed_when_the_test_fails(visit):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever()

    def failing_test():
        with visit(View.as_view()) as stream:
            stream.next()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    assert source.closed


def test_the_source_is_closed_when_no_event_arrives_in_time(visit):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever()

    with visit(View.as_view()) as stream:
        stream.next()
        with pytest.raises(
            TimeoutError, match=r"^GET /: no data within 0.01 s\. Received so far: status 200, events: 1"
        ):
            stream.next(timeout=0.01)
    assert source.closed


def test_the_error_of_a_timeout_says_that_on_commit_needs_a_commit(db, visit):
    with visit(News.as_view()) as stream:
        assert stream.next().event == "ready"
        transaction.on_commit(lambda: publish("news", "never"))
        with pytest.raises(TimeoutError) as caught:
            stream.next(timeout=0.01)
    assert str(caught.value).endswith(
        "'. Subscribed to news. If the event is published in on_commit(), or is a change of a live list, the test must "
        "commit: use the fixture django_capture_on_commit_callbacks, captureOnCommitCallbacks() of a TestCase, or "
        "@pytest.mark.django_db(transaction=True). See "
        "https://adrf-sse.readthedocs.io/en/stable/testing/#channels"
    )


def test_a_synchronous_cleanup_may_query(alice, visit):
    names = []

    class View(AsyncSSEAPIView):
        async def get(self, request):
            try:
                while True:
                    yield "a"
            finally:
                names.append((await User.objects.aget()).username)

    with visit(View.as_view()) as stream:
        stream.next()
    assert names == ["alice"]


def test_streams_of_a_test_are_open_at_once(alice, event_stream_client):
    with event_stream_client.get("/news/") as first, event_stream_client.get("/news/") as second:
        publish("news", "x")
        assert "x" in (event.data for event in first)
        assert "x" in (event.data for event in second)
        with event_stream_client.get("/names/") as third:
            assert third.next().data == "alice"


def test_synchronous_code_of_one_stream_runs_while_the_test_reads_another(alice, visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            if request.GET:
                yield "ready"
                publish("news", await User.objects.acount())
            else:
                async with subscribe("news") as events:
                    yield "ready"
                    async for event in events:
                        yield event

    with visit(View.as_view()) as first:
        first.next()
        with visit(View.as_view(), url="/?publish=1"):
            assert first.next().data == "1"


def test_the_clients_of_django_work_inside_of_a_block(alice, event_stream_client):
    with event_stream_client.get("/names/") as stream:
        stream.next()
        response = Client().get("/words/", headers={"Accept": "text/event-stream"})
        assert isinstance(response, StreamingHttpResponse)
        assert b"".join(response.streaming_content).startswith(b"data: a\n\n")
        assert async_to_sync(count_users)() == 1
        assert [event.data for event in stream] == ["1", threading.current_thread().name]
    assert connection.in_atomic_block
    assert User.objects.count() == 1


def test_tasks_of_the_project_go_on_between_the_blocks_of_a_client(visit, event_stream_client):
    started: list[Any] = []
    go = threading.Event()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            async def background():
                await asyncio.to_thread(go.wait)
                return "done"

            if not started:
                started.append(asyncio.create_task(background()))
                yield "started"
            else:
                yield await started[0]

    with visit(View.as_view()) as stream:
        stream.next()
    go.set()
    with visit(View.as_view()) as stream:
        assert stream.next().data == "done"


def test_the_exception_of_an_application_is_raised_in_the_test():
    async def application(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), EventStreamClient(application).get("/"):
        pytest.fail("entered")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("synchronous", [True, False])
def test_an_interruption_in_the_project_ends_the_test_and_not_the_loop(visit, interruption, synchronous):
    def interrupt():
        raise interruption

    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"
            await sync_to_async(interrupt)() if synchronous else interrupt()

    class Other(AsyncSSEAPIView):
        async def get(self, request):
            yield "b"

    with visit(Other.as_view()) as other:
        with pytest.raises(interruption), visit(View.as_view()) as stream:
            stream.body()
        assert other.next().data == "b"
    gc.collect()  # warns of a request's body that was left open


@pytest.fixture
def interrupt():
    """Raise ``KeyboardInterrupt`` in the main thread, by a signal that does not end open streams, as Ctrl-C may do."""
    handler = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, handler)


def test_a_source_begins_no_call_after_an_interruption_of_the_test(visit, interrupt):
    calls, entered = [], threading.Event()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            try:
                yield "a"
                await asyncio.to_thread(entered.wait)
                interrupt()
                await sync_to_async(calls.append)("after")
            finally:
                await sync_to_async(calls.append)("cleanup")

    def read():
        with visit(View.as_view()) as stream:
            entered.set()
            stream.body()

    with pytest.raises(KeyboardInterrupt):
        read()
    assert calls == ["cleanup"]


async def test_with_in_an_asynchronous_test_is_an_error(event_stream_client):
    with pytest.raises(RuntimeError, match="Use 'async with' and 'await'"), event_stream_client.get("/words/"):
        pytest.fail("entered")
