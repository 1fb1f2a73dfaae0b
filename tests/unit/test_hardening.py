"""Tests of streams with replaced responses, paused sources, caches, decorators and shared contexts."""

import asyncio
import logging
import sys
import threading
from contextlib import asynccontextmanager, suppress
from functools import wraps

import pytest
from adrf.views import APIView
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_page
from rest_framework.exceptions import APIException, NotFound
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView
from rest_framework.viewsets import ViewSet as SyncViewSet

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream
from adrf_sse.streams.sync_sources import count_sync_sources
from adrf_sse.testing import EventParser
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.support.sources import Recorder
from tests.unit.test_stream import wait_until_stable

FULL = b"data: " + b"x" * (CHUNK_SIZE - 8) + b"\n\n"


def replacing(get_response):
    def middleware(request):
        get_response(request)
        return HttpResponse("replaced")

    return middleware


def rewrapping(get_response):
    """Return a new response with the stream's content that does not close the content."""

    async def middleware(request):
        response = await get_response(request)
        content = response.streaming_content

        async def copied():
            async for chunk in content:
                yield chunk

        return StreamingHttpResponse(copied())

    return middleware


rewrapping.async_capable, rewrapping.sync_capable = True, False


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_replaced_response_is_closed_under_wsgi(settings, kind):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever() if kind == "async" else source.run_in_thread()

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", View.as_view())]})
    settings.MIDDLEWARE = ["tests.unit.test_hardening.replacing"]
    for _ in range(3):
        assert Client().get("/").content == b"replaced"
    assert source.closed
    assert len(open_streams) == 0
    assert count_sync_sources() == 0


async def test_a_response_rewrapped_by_middleware_is_closed_after_send_timeout(visit):
    source = Recorder(*[FULL] * 100)

    class View(AsyncSSEAPIView):
        send_timeout = 0.5

        async def get(self, request):
            return source.run()

    async with visit(View.as_view(), middleware=("tests.unit.test_hardening.rewrapping",), served=True) as stream:
        await stream.next_chunk()
    await wait_until(lambda: source.closed)
    assert len(open_streams) == 0


async def wait_until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


# A source that is paused at its yield


async def test_a_task_group_around_a_yield_fails_with_its_child_while_the_source_is_paused(caplog):
    fail = asyncio.Event()

    async def child():
        await fail.wait()
        raise NotFound("gone")

    async def source():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            while True:
                yield FULL

    stream = EventStream(source(), options({}))
    assert await anext(stream) == FULL
    await wait_until_stable(lambda: len(asyncio.all_tasks()))
    fail.set()
    rest = b"".join([chunk async for chunk in stream])
    assert rest == FULL * (stream.events - 1) + b'event: error\ndata: {"detail":"gone","code":"not_found"}\n\n'


async def test_a_timeout_around_a_yield_works_while_the_source_is_paused():
    async def source():
        try:
            async with asyncio.timeout(0.01):
                while True:
                    yield FULL
        except TimeoutError:
            timed_out.set()
            yield b"data: timed out\n\n"

    timed_out = asyncio.Event()
    stream = EventStream(source(), options({}))
    assert await anext(stream) == FULL
    await timed_out.wait()
    assert b"".join([chunk async for chunk in stream]).endswith(b"data: timed out\n\n")


@pytest.mark.parametrize("paused", [True, False])
async def test_closing_a_source_inside_a_task_group_logs_nothing(caplog, paused):
    async def source():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            yield FULL
            while paused:
                yield FULL
            await asyncio.Event().wait()

    stream = EventStream(source(), options({}))
    await anext(stream)
    await wait_until_stable(lambda: len(asyncio.all_tasks()))
    with caplog.at_level(logging.WARNING):
        await stream.aclose()
    assert caplog.records == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_encoding_error_inside_a_task_group_is_reported(caplog):
    async def source():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            yield "a"
            yield object()

    body = b"".join([chunk async for chunk in EventStream(source(), options({}))])
    assert body.startswith(b"data: a\n\nevent: error\n")
    assert "data must be text or something the JSON renderer can encode" in caplog.text


# Failures


async def test_a_source_cancelled_before_its_first_event_is_a_500_response(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            raise asyncio.CancelledError
            yield

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 500


async def test_an_error_in_finally_after_an_early_disconnect_is_logged(visit, caplog):
    started = asyncio.Event()

    class View(AsyncSSEAPIView):
        first_event_timeout = 60

        async def get(self, request):
            try:
                started.set()
                await asyncio.Event().wait()
                yield
            finally:
                raise ValueError("in finally")

    stream = visit(View.as_view())
    opening = asyncio.create_task(stream.__aenter__())
    await started.wait()
    await stream.__aexit__(None, None, None)
    with suppress(AssertionError):
        await opening
    assert "in finally" in caplog.text


async def test_an_error_detail_that_can_not_be_encoded_becomes_the_generic_error_event(monkeypatch):
    monkeypatch.setattr("adrf_sse.streams.reports.logger.disabled", True)  # pytest-xdist can't transfer lone surrogates

    async def source():
        yield "a"
        raise APIException("\ud800")

    body = b"".join([chunk async for chunk in EventStream(source(), options({}))])
    assert b'"detail":"A server error occurred."' in body


async def test_the_error_event_is_encoded_by_the_renderers_data_renderer_class(visit):
    class Spacious(JSONRenderer):
        compact = False

    class Renderer(EventStreamRenderer):
        data_renderer_class = Spacious

    class View(APIView):
        renderer_classes = [Renderer]

        async def get(self, request):
            async def source():
                raise NotFound("gone")
                yield

            return Response(source())

    async with visit(View.as_view()) as stream:
        assert await stream.body() == b'event: error\ndata: {"detail": "gone", "code": "not_found"}\n\n'


# Renderer and response


async def test_cache_page_does_not_cache_an_empty_body(visit, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

    class Sync(SyncAPIView):
        renderer_classes = [EventStreamRenderer]
        authentication_classes = []

        def get(self, request):
            return Response(Recorder("a").run())

    view = cache_page(60)(Sync.as_view())
    for _ in range(2):
        async with visit(view) as stream:
            assert await stream.body() == b"data: a\n\n"


async def test_another_renderers_page_keeps_its_content_type(visit):
    class View(APIView):
        renderer_classes = [EventStreamRenderer, BrowsableAPIRenderer]
        authentication_classes = []

        async def get(self, request):
            return Response({"a": 1})

    async with visit(View.as_view(), headers={"Accept": "text/html"}) as stream:
        assert stream.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<!DOCTYPE html>" in await stream.body()


def test_content_encoding_prevents_gzip_but_is_not_sent():
    response = EventStreamResponse(Recorder().run())
    assert response.has_header("Content-Encoding")
    assert "Content-Encoding" not in response
    response["Content-Encoding"] = "br"
    assert "Content-Encoding" in response


# Views


@pytest.mark.django_db(transaction=True)
async def test_a_synchronous_decorator_on_a_handler_can_use_the_orm(visit):
    def counted(handler):
        @wraps(handler)
        def wrapper(self, request):
            request.count = get_user_model().objects.count()
            return handler(self, request)

        return wrapper

    class View(AsyncSSEAPIView):
        @counted
        async def get(self, request):
            yield request.count

        @asynccontextmanager
        async def post(self, request):
            yield Recorder(threading.current_thread() is threading.main_thread()).run()

    async with visit(View.as_view()) as stream:
        assert await stream.body() == b"data: 0\n\n"
    async with visit(View.as_view(), method="post") as stream:
        assert await stream.body() == b"data: true\n\n"


@pytest.mark.parametrize(
    ("bases", "given"),
    [
        ((SyncViewSet, EventStreamMixin), "ViewSet, EventStreamMixin"),
        ((EventStreamMixin, SyncAPIView), "EventStreamMixin, APIView"),
    ],
)
def test_the_mixin_in_the_wrong_place_is_refused_when_the_class_is_created(bases, given):
    with pytest.raises(TypeError) as caught:
        type("V", bases, {})
    assert str(caught.value) == (
        f"EventStreamMixin must stand in front of an adrf view or viewset class, got V({given}). "
        "Put it first, and derive from adrf's class. A view or viewset of Django REST Framework's own needs no mixin: "
        "with EventStreamRenderer in its renderer_classes, return Response(source), and set options as attributes."
    )


async def test_a_base_classes_async_dispatch_is_called(visit):
    class Audited(APIView):
        async def async_dispatch(self, request, *args, **kwargs):
            response = await super().async_dispatch(request, *args, **kwargs)
            response["X-Audited"] = "yes"
            return response

    class View(EventStreamMixin, Audited):
        renderer_classes = [EventStreamRenderer]

        async def get(self, request):
            yield "a"

    async with visit(View.as_view()) as stream:
        assert stream.headers["X-Audited"] == "yes"
        assert await stream.body() == b"data: a\n\n"


# Contexts


async def test_the_end_of_a_request_does_not_close_another_stream_in_a_shared_context(visit):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run_for_ever()

    async def short(request):
        return HttpResponse("ok")

    async with ThreadSensitiveContext(), visit(View.as_view(), served=True) as stream:
        await stream.next()
        async with visit(short, served=True) as other:
            assert await other.body() == b"ok"
        assert not source.closed


async def test_pending_work_in_the_requests_thread_does_not_delay_the_stream(visit, monkeypatch):
    monkeypatch.setattr("adrf_sse.runtime.request_threads.REQUEST_THREAD_TIMEOUT", 0.01)
    go, left = threading.Event(), []

    async def view(request):
        left.append(asyncio.create_task(sync_to_async(go.wait)()))
        await asyncio.sleep(0)
        return EventStreamResponse(Recorder("a").run_for_ever())

    async with visit(view, served=True) as stream:
        assert (await stream.next()).data == "a"
        go.set()
        await left[0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
async def test_eager_tasks_do_not_delay_the_first_event(visit):
    class View(AsyncSSEAPIView):
        first_event_timeout = 3600

        async def get(self, request):
            yield "a"
            await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        async with visit(View.as_view()) as stream:
            assert (await stream.next()).data == "a"
    finally:
        loop.set_task_factory(None)


def test_the_parser_accepts_a_retry_with_many_digits():
    parser = EventParser()
    assert parser.feed(b"retry: " + b"9" * 5000 + b"\n\ndata: a\n\n") != []
    assert parser.retry is None


@pytest.mark.parametrize("compress", [False, True], ids=["", "compressed"])
@pytest.mark.parametrize("middleware", [[], ["tests.support.middleware.wrapping"]], ids=["", "wrapped"])
@pytest.mark.parametrize("blocked", [-1, -2], ids=["the end", "the last chunk"])
async def test_send_timeout_applies_to_the_end_of_a_response(settings, middleware, compress, blocked):
    """A server waits until the client reads before it sends the end, if the last chunk has filled its buffer."""

    class View(AsyncSSEAPIView):
        send_timeout = 0.5

        async def get(self, request):
            yield "a"

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", View.as_view(compress=compress))]})
    settings.MIDDLEWARE = middleware
    headers = [(b"host", b"testserver"), (b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    messages, never = [], asyncio.Event()

    async def receive():
        return messages.pop() if messages else await never.wait()

    async def respond(block_at=None):
        """Return how many messages the response has, up to the one that the server never finishes to send."""
        messages.append({"type": "http.request"})
        sent = 0

        async def send(message):
            nonlocal sent
            sent += 1
            if sent == block_at:
                await never.wait()

        # Since Django 6.1, a request has no task of its own, so the server's task is cancelled.
        with suppress(asyncio.CancelledError):
            await get_asgi_application()(scope, receive, send)
        return sent

    number = await respond() + 1 + blocked
    assert await respond(number) == number
