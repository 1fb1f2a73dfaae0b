"""A stream that a view has started and that nothing reads ends with its request, however the request ends."""

import asyncio
import gc

import pytest
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [(b"host", b"test")],
}
SYNC = "tests.support.middleware.sync_only"


def mixin_view(source):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever()

    return View.as_view()


def response_of_a_function(source):
    @event_stream
    async def view(request):
        return EventStreamResponse(source.run_for_ever())

    return view


def unmodified_view(source):
    class View(APIView):
        renderer_classes = [EventStreamRenderer]
        first_event_timeout = 30

        def get(self, request):
            return Response(source.run_for_ever())

    return View.as_view()


# Django does not close the request whose response it could not send.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

VIEWS = [mixin_view, response_of_a_function, unmodified_view]


@pytest.fixture(autouse=True)
def collect_garbage():
    """Delete the requests that Django has left open, so that no later test is told of them."""
    yield
    gc.collect()


class Source(Recorder):
    """A source that tells when it is closed."""

    def __init__(self, *items):
        super().__init__(*items)
        self.ended = asyncio.Event()

    def _close(self):
        super()._close()
        self.ended.set()


class SendFailed(Exception):
    """What a server raises whose client has left."""


async def request(settings, view, send, middleware=(), left=None):
    """Send a request to the whole project, as a server does."""
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
    settings.MIDDLEWARE = list(middleware)
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if body:
            return body.pop()
        await (left or asyncio.Event()).wait()  # without an event, the server does not notice that the client has left
        return {"type": "http.disconnect"}

    await get_asgi_application()(SCOPE, receive, send)


@pytest.mark.parametrize("middleware", [(), (SYNC,)], ids=["", "sync middleware"])
@pytest.mark.parametrize("make_view", VIEWS)
async def test_a_stream_is_closed_if_the_server_can_not_send_its_headers(settings, make_view, middleware):
    async def send(message):
        raise SendFailed

    source = Source("a")
    with pytest.raises(SendFailed):
        await request(settings, make_view(source), send, middleware)
    await source.ended.wait()


@pytest.mark.parametrize("make_view", VIEWS)
async def test_a_stream_is_closed_if_the_server_can_not_send_its_first_chunk(settings, make_view):
    async def send(message):
        if message["type"] == "http.response.body":
            raise SendFailed

    source = Source("a")
    with pytest.raises(SendFailed):
        await request(settings, make_view(source), send)
    await source.ended.wait()


@pytest.mark.parametrize("make_view", VIEWS)
async def test_a_stream_is_closed_if_middleware_fails_after_the_view(settings, make_view):
    source, sent = Source("a"), []

    async def send(message):
        sent.append(message)

    await request(settings, make_view(source), send, ["tests.unit.test_unread_streams.fail_after_the_view"])
    assert sent[0]["status"] == 500
    await source.ended.wait()


def fail_after_the_view(get_response):
    async def middleware(request):
        await asyncio.create_task(wait(get_response(request)))
        raise LookupError

    async def wait(response):
        await response

    return middleware


fail_after_the_view.async_capable = True
fail_after_the_view.sync_capable = False


async def test_a_stream_is_read_after_the_task_that_ran_its_view_has_ended(settings):
    left, sent, arrived, source = asyncio.Event(), [], asyncio.Event(), Source("a")

    async def send(message):
        sent.append(message)
        if message.get("body"):
            arrived.set()

    middleware = ["tests.unit.test_unread_streams.in_a_task"]
    async with asyncio.TaskGroup() as group:
        group.create_task(request(settings, mixin_view(source), send, middleware, left))
        await arrived.wait()
        assert sent[-1]["body"] == b"data: a\n\n"
        assert not source.closed
        left.set()
    await source.ended.wait()


def in_a_task(get_response):
    async def middleware(request):
        return await asyncio.create_task(call(request))

    async def call(request):
        return await get_response(request)

    return middleware


in_a_task.async_capable = True
in_a_task.sync_capable = False


async def test_receivers_learn_of_the_opening_of_a_stream_whose_end_they_learn_of(settings):
    """Also if the client leaves while they are told."""
    opened, closed, opening, go_on, left = [], asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    source = Source("a")

    async def note_opened(stream, **kwargs):
        opening.set()
        await go_on.wait()
        opened.append(stream)

    async def note_closed(stream, **kwargs):
        opened.append("closed")
        closed.set()

    async def send(message):
        pass

    stream_opened.connect(note_opened)
    stream_closed.connect(note_closed)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(request(settings, mixin_view(source), send, left=left))
            await opening.wait()
            left.set()
            await source.ended.wait()
            go_on.set()
        await closed.wait()
    finally:
        stream_opened.disconnect(note_opened)
        stream_closed.disconnect(note_closed)
    assert len(opened) == 2
    assert opened[1] == "closed"
