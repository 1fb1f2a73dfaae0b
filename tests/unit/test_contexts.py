"""Tests of the threads and database connections of streams with Django's ASGI handler."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest
from adrf.views import APIView
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.contrib.auth import get_user_model
from django.core.signals import request_finished
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runtime.contexts import close_connections
from adrf_sse.runtime.stream_threads import stream_threads
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

MIDDLEWARE = ("tests.support.middleware.sync_only",)


async def forever():
    yield "a"
    await asyncio.Event().wait()


def touch():
    """Open a connection, as sessions and authentication do, and record it with its thread."""
    connection.ensure_connection()
    used.append((threading.current_thread(), connections["default"]))


used: list = []


@pytest.fixture(autouse=True)
def _forget():
    used.clear()


class View(AsyncSSEAPIView):
    def initial(self, request, *args, **kwargs):
        touch()
        super().initial(request, *args, **kwargs)

    async def get(self, request):
        return forever()


class RendererOnly(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request):
        await sync_to_async(touch)()
        return Response(forever())


class RendererOnlySync(SyncAPIView):
    renderer_classes = [EventStreamRenderer]

    def get(self, request):
        touch()
        return Response(forever())


async def plain(request):
    await sync_to_async(touch)()
    return EventStreamResponse(forever())


def plain_sync(request):
    touch()
    return EventStreamResponse(forever())


VIEWS = [View.as_view(), RendererOnly.as_view(), RendererOnlySync.as_view(), plain, plain_sync]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("middleware", [(), MIDDLEWARE], ids=["", "sync middleware"])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
async def test_the_requests_thread_and_connection_are_released_before_the_first_byte(visit, view, middleware):
    async with visit(view, middleware=middleware, served=True) as stream:
        await stream.next()
        [(thread, django_connection)] = used
        assert django_connection.connection is None
        await asyncio.to_thread(thread.join)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("middleware", [(), MIDDLEWARE], ids=["", "sync middleware"])
async def test_orm_calls_of_all_streams_share_the_stream_threads(visit, settings, middleware):
    settings.ADRF_SSE = {"STREAM_THREADS": 2}
    threads, go = set(), asyncio.Event()

    def query():
        threads.add(threading.current_thread().name)
        return get_user_model().objects.count()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield await sync_to_async(query)()
            await go.wait()
            yield await get_user_model().objects.acount()
            yield await sync_to_async(query)()

    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(10):
            stream = await stack.enter_async_context(visit(View.as_view(), middleware=middleware, served=True))
            assert (await stream.next()).data == "0"
            streams.append(stream)
        assert sorted(thread.streams for thread in stream_threads.threads[:2]) == [5, 5]
        go.set()
        for stream in streams:
            assert [event.data for event in await stream.take(2)] == ["0", "0"]
    assert threads == {"adrf_sse streams"}
    assert not any(thread.streams for thread in stream_threads.threads)


@pytest.mark.django_db(transaction=True)
async def test_a_failed_query_in_one_stream_does_not_affect_other_streams(visit, settings, caplog):
    settings.ADRF_SSE = {"STREAM_THREADS": 1}

    def broken():
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    class Broken(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"
            await sync_to_async(broken)()

    class Sound(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"
            await go.wait()
            yield await get_user_model().objects.acount()

    go = asyncio.Event()
    async with visit(Sound.as_view(), served=True) as sound:
        await sound.next()
        async with visit(Broken.as_view(), served=True) as stream:
            assert [event.event for event in await stream.take(2)] == [None, "error"]
        go.set()
        assert (await sound.next()).data == "0"


@pytest.mark.django_db
def test_connections_inside_a_transaction_are_not_closed():
    get_user_model().objects.create(username="alice")
    close_connections()
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db(transaction=True)
async def test_in_a_test_synchronous_code_runs_in_the_thread_of_the_tests_transaction(visit):
    """The data of a test is visible only in the thread that opened the test's transaction."""

    @sync_to_async
    def run(ready, done):
        with transaction.atomic():
            get_user_model().objects.create(username="alice")
            transaction.set_rollback(True)

    class View(AsyncSSEAPIView):
        def get(self, request):
            yield threading.current_thread().name

        async def post(self, request):
            yield await sync_to_async(lambda: threading.current_thread().name)()

    test_thread = await sync_to_async(lambda: threading.current_thread().name)()
    for method in ("get", "post"):
        async with visit(View.as_view(), method=method) as stream:
            assert (await stream.next()).data == test_thread


@pytest.mark.parametrize("middleware", [(), MIDDLEWARE], ids=["", "sync middleware"])
async def test_a_stream_that_was_never_iterated_is_closed_when_its_request_ends(visit, settings, middleware):
    """If the client disconnects, Django cancels the request without calling ``close()`` on the response."""
    source, order = Recorder("a"), []
    reached, never = asyncio.Event(), asyncio.Event()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            async for item in source.run_for_ever():
                yield item

    def finished(**kwargs):
        order.append(source.closed)

    holding.update(reached=reached, never=never)
    stream = visit(View.as_view(), middleware=("tests.unit.test_contexts.hold_response", *middleware), served=True)
    opening = asyncio.create_task(stream.__aenter__())
    await reached.wait()
    assert source.started
    request_finished.connect(finished)
    try:
        await stream.__aexit__(None, None, None)
    finally:
        request_finished.disconnect(finished)
    with pytest.raises(AssertionError):
        await opening
    assert order == [True]
    assert source.close_task is source.start_task


holding: dict = {}


def hold_response(get_response):
    """Hold the response back, so that it is never iterated."""

    async def middleware(request):
        response = await get_response(request)
        holding["reached"].set()
        await holding["never"].wait()
        return response

    return middleware


hold_response.async_capable, hold_response.sync_capable = True, False


async def test_the_servers_thread_context_is_not_closed():
    from concurrent.futures import ThreadPoolExecutor

    from adrf_sse.runtime.request_threads import release_request

    with ThreadPoolExecutor(1) as executor:
        async with ThreadSensitiveContext(executor=executor):
            await release_request()
            assert await sync_to_async(threading.get_ident)() != threading.get_ident()


async def test_a_task_that_outlives_its_source_can_call_synchronous_code(visit):
    ended, left = asyncio.Event(), []

    async def later():
        await ended.wait()
        return await sync_to_async(lambda: threading.current_thread().name)()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            left.append(asyncio.create_task(later()))
            yield "a"

    async with visit(View.as_view(), served=True) as stream:
        await stream.body()
    ended.set()
    assert await left[0] == "adrf_sse streams"


def test_a_source_under_wsgi_can_call_synchronous_code_after_its_view_has_returned(settings):
    """asgiref would run the code in the thread of the view, but that thread sends the response now."""
    answered = threading.Event()

    class Named(AsyncSSEAPIView):
        async def get(self, request):
            for name in ("one", "two", "three"):
                yield name, await sync_to_async(lambda: threading.current_thread().name)()
                await asyncio.to_thread(answered.wait)

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Named.as_view())]})
    response = Client().get("/")
    answered.set()
    frames = [b"event: %s\ndata: adrf_sse streams\n\n" % name for name in (b"one", b"two", b"three")]
    assert b"".join(response.streaming_content) == b"".join(frames)
