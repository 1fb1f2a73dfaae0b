"""Tests of the threads that run the synchronous code of requests, with Django's ASGI handler."""

import asyncio
import threading
from contextvars import Context

import pytest
from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished
from django.db import connection, connections, transaction
from django.urls import path
from django.utils.decorators import sync_only_middleware
from django.utils.deprecation import MiddlewareMixin
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.runtime.contexts import close_idle_connections
from adrf_sse.runtime.request_threads import request_threads
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.views import AsyncSSEAPIView

ORDINARY = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)

seen: dict = {}


@pytest.fixture(autouse=True)
def _forget():
    seen.clear()


@pytest.fixture
async def hops(monkeypatch):
    """The calls that the loop has made in threads, and their futures."""
    hops, loop = [], asyncio.get_running_loop()
    run_in_executor = loop.run_in_executor

    def counting(executor, function, *arguments):
        hops.append((function, run_in_executor(executor, function, *arguments)))
        return hops[-1][1]

    monkeypatch.setattr(loop, "run_in_executor", counting)
    return hops


@pytest.fixture
def started(monkeypatch):
    """The threads that were started."""
    started, start = [], threading.Thread.start

    def counting(thread):
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counting)
    return started


async def word():
    yield "a"


class JSON(APIView):
    async def get(self, request):
        return Response(["a"])


class View(AsyncSSEAPIView):
    async def get(self, request):
        return word()


class RendererOnly(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request):
        return Response(word())


def asking_the_database(view):
    class Asking(view):
        def initial(self, request, *args, **kwargs):
            connection.ensure_connection()
            super().initial(request, *args, **kwargs)

    return Asking


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wrapped", [lambda view: view, asking_the_database], ids=["", "with the database"])
@pytest.mark.parametrize("view", [View, RendererOnly])
async def test_a_stream_takes_no_more_threads_and_calls_in_threads_than_json_does(visit, hops, started, view, wrapped):
    async def cost(view):
        counted = []
        for _ in range(2):  # the first stream of all starts the shared thread
            started.clear()
            hops.clear()
            async with visit(view.as_view(), middleware=ORDINARY, served=True) as stream:
                await stream.body()
            counted = [len(started), len(hops)]
        return counted

    json_threads, json_hops = await cost(wrapped(JSON))
    threads, calls = await cost(wrapped(view))
    assert threads < json_threads
    # A renderer is called in the request's thread, and a connection must be closed there.
    assert calls <= json_hops + (view is RendererOnly and wrapped is asking_the_database)


@pytest.mark.parametrize(
    ("middleware", "calls"),
    [
        ("security.SecurityMiddleware", 2),
        ("common.CommonMiddleware", 2),
        ("locale.LocaleMiddleware", 2),
        ("csrf.CsrfViewMiddleware", 3),
        ("clickjacking.XFrameOptionsMiddleware", 1),
        ("gzip.GZipMiddleware", 1),
        ("http.ConditionalGetMiddleware", 1),
    ],
)
async def test_middleware_costs_calls_in_threads_as_documented(visit, hops, middleware, calls):
    counted = []
    for middlewares in ((), (f"django.middleware.{middleware}",)):
        hops.clear()
        async with visit(View.as_view(), middleware=middlewares, served=True) as stream:
            await stream.body()
        counted.append(len(hops))
    assert counted[1] - counted[0] == calls


async def test_asynchronous_middleware_costs_no_call_in_a_thread(visit, hops):
    async with visit(View.as_view(), middleware=("tests.support.middleware.wrapping",), served=True) as stream:
        await stream.body()
    # The receivers of request_started, initial(), and the end of the request.
    assert len(hops) == 3


class Silent(AsyncSSEAPIView):
    first_event_timeout = 600

    def initial(self, request, *args, **kwargs):
        connection.ensure_connection()
        seen.update(thread=threading.current_thread(), connection=connections["default"])
        super().initial(request, *args, **kwargs)

    async def get(self, request):
        seen["waits"].set()
        yield await seen["first"]


@sync_only_middleware
def around(get_response):
    """Synchronous code around the view, in the request's thread, which waits for the view."""
    return lambda request: get_response(request)


class Around(MiddlewareMixin):
    """Middleware that runs code before and after the view, each in a call of its own."""

    def process_request(self, request):
        if seen.get("in transaction"):
            seen["transaction"] = transaction.atomic()
            seen["transaction"].__enter__()
            get_user_model().objects.create(username="alice")
            seen["before"] = threading.current_thread()

    def process_response(self, request, response):
        seen["after"] = threading.current_thread()
        if seen.get("in transaction"):
            seen["transaction"].__exit__(None, None, None)
        return response


AROUND = "tests.unit.test_request_threads.Around"


async def open_silent(visit, *middleware, **attributes):
    seen.update(waits=asyncio.Event(), first=asyncio.get_running_loop().create_future())
    view = type("SilentView", (Silent,), attributes).as_view()
    stream = visit(view, middleware=middleware, served=True)
    opening = asyncio.create_task(stream.__aenter__())
    await seen["waits"].wait()
    return stream, opening


@pytest.mark.django_db(transaction=True)
async def test_a_request_that_waits_for_the_first_event_holds_no_thread_and_no_connection(visit):
    pending, opening = await open_silent(visit, *ORDINARY, AROUND)
    await asyncio.to_thread(seen["thread"].join)
    assert seen["connection"].connection is None
    seen["first"].set_result("a")
    stream = await opening
    assert stream.status_code == 200
    assert (await stream.next()).data == "a"
    assert seen["after"].name == "adrf_sse requests"
    await pending.__aexit__(None, None, None)
    assert not any(thread.streams for thread in request_threads.threads)


@pytest.mark.django_db(transaction=True)
async def test_a_request_behind_synchronous_middleware_that_waits_holds_no_connection(visit):
    pending, opening = await open_silent(visit, "tests.unit.test_request_threads.around", before=True)
    while seen["connection"].connection is not None:
        await asyncio.sleep(0)
    seen["first"].set_result("a")
    assert (await (await opening).next()).data == "a"
    await pending.__aexit__(None, None, None)


@pytest.mark.django_db(transaction=True)
async def test_an_error_after_a_wait_is_an_http_error(visit):
    pending, opening = await open_silent(visit, *ORDINARY, AROUND)
    await asyncio.to_thread(seen["thread"].join)
    seen["first"].set_exception(NotFound())
    stream = await opening
    assert stream.status_code == 404
    await stream.body()
    await pending.__aexit__(None, None, None)
    assert not any(thread.streams for thread in request_threads.threads)


@pytest.mark.django_db(transaction=True)
async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(visit):
    finished = asyncio.Event()
    loop = asyncio.get_running_loop()

    def notice(**kwargs):
        loop.call_soon_threadsafe(finished.set)

    request_finished.connect(notice)
    try:
        pending, opening = await open_silent(visit, *ORDINARY)
        await asyncio.to_thread(seen["thread"].join)
        await pending.__aexit__(None, None, None)
        await finished.wait()
    finally:
        request_finished.disconnect(notice)
    with pytest.raises(AssertionError):
        await opening
    await open_streams.wait_until_empty()
    while any(thread.streams for thread in request_threads.threads):
        await asyncio.sleep(0)


@pytest.mark.django_db(transaction=True)
async def test_a_request_in_a_transaction_keeps_its_thread_while_it_waits(visit, hops):
    seen["in transaction"] = True
    pending, opening = await open_silent(visit, AROUND)
    while hops[-1][0] is not close_idle_connections:
        await asyncio.sleep(0)
    assert await hops[-1][1] is False
    seen["first"].set_result("a")
    stream = await opening
    assert (await stream.next()).data == "a"
    assert seen["after"] is seen["before"] is seen["thread"]
    assert await get_user_model().objects.acount() == 1
    await asyncio.to_thread(seen["thread"].join)
    await pending.__aexit__(None, None, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_event_timeout", [0, 600])
async def test_a_connection_that_fails_to_close_does_not_end_its_request(visit, caplog, first_event_timeout):
    def initial(view, request, *args, **kwargs):
        Silent.initial(view, request, *args, **kwargs)
        close = seen["connection"].close

        def close_and_fail():
            close()
            raise OSError("gone")

        seen["connection"].close = close_and_fail

    pending, opening = await open_silent(visit, initial=initial, first_event_timeout=first_event_timeout)
    while first_event_timeout and not caplog.records:
        await asyncio.sleep(0)
    seen["first"].set_result("a")
    assert (await (await opening).next()).data == "a"
    await pending.__aexit__(None, None, None)
    assert "The connection to the database 'default' could not be closed." in caplog.messages


class Manual(MiddlewareMixin):
    """Middleware that begins and ends a transaction without ``atomic()``."""

    def process_request(self, request):
        transaction.set_autocommit(False)
        get_user_model().objects.create(username="alice")

    def process_response(self, request, response):
        transaction.commit()
        transaction.set_autocommit(True)
        return response


@pytest.mark.django_db(transaction=True)
async def test_a_request_in_a_transaction_of_its_own_keeps_its_thread_while_it_waits(visit, hops):
    pending, opening = await open_silent(visit, "tests.unit.test_request_threads.Manual")
    while hops[-1][0] is not close_idle_connections:
        await asyncio.sleep(0)
    await asyncio.wait([hops[-1][1]])
    seen["first"].set_result("a")
    assert (await (await opening).next()).data == "a"
    await pending.__aexit__(None, None, None)
    assert await get_user_model().objects.acount() == 1


class Asking(MiddlewareMixin):
    def process_response(self, request, response):
        connection.ensure_connection()
        seen["asked"] = connections["default"]
        return response


@pytest.mark.django_db(transaction=True)
async def test_a_shared_thread_keeps_no_connection_of_an_open_stream_while_other_requests_wait(visit, settings):
    class Endless(Silent):
        async def get(self, request):
            seen["waits"].set()
            yield await seen["first"]
            await asyncio.Event().wait()

    settings.ADRF_SSE = {"STREAM_THREADS": 1}
    middleware = "tests.unit.test_request_threads.Asking"
    other, opening_other = await open_silent(visit, middleware)
    await asyncio.to_thread(seen["thread"].join)
    first = seen["first"]
    pending, opening = await open_silent(visit, middleware, get=Endless.get)
    await asyncio.to_thread(seen["thread"].join)
    seen["first"].set_result("a")
    assert (await (await opening).next()).data == "a"
    await asyncio.wrap_future(request_threads.threads[0].submit(int))  # after the calls before it
    assert seen["asked"].connection is None
    first.set_result("b")
    await pending.__aexit__(None, None, None)
    await opening_other
    await other.__aexit__(None, None, None)


@pytest.mark.django_db(transaction=True)
async def test_a_connection_of_code_in_another_context_is_closed(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return word()

        def initial(self, request, *args, **kwargs):
            Context().run(connection.ensure_connection)
            seen.update(thread=threading.current_thread(), connection=connections["default"])
            super().initial(request, *args, **kwargs)

    async with visit(View.as_view(), served=True) as stream:
        await stream.next()
        await asyncio.to_thread(seen["thread"].join)
        assert seen["connection"].connection is None


async def test_a_source_that_reads_another_stream_keeps_its_stream_thread(visit):
    def thread():
        return sync_to_async(threading.current_thread)()

    class Relay(AsyncSSEAPIView):
        async def get(self, request):
            before = await thread()
            async for chunk in await View.as_view()(request._request):
                yield chunk
            yield before is await thread()

    async with visit(Relay.as_view(), served=True) as stream:
        assert [event.data for event in await stream.take(2)] == ["a", "true"]


async def test_a_request_that_goes_on_after_its_context_was_left_counts_for_no_shared_thread(settings):
    """Django stops waiting for a request if the server sends a message that it does not expect."""
    go_on, ended = asyncio.Event(), asyncio.Event()

    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"

    async def send(message):
        seen["task"] = asyncio.current_task()
        if message["type"] == "http.response.start":
            ended.set()
            await go_on.wait()

    async def receive():
        if seen.setdefault("received", 0):
            await ended.wait()
        seen["received"] += 1
        return {"type": "http.request"}

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", View.as_view())]})
    settings.MIDDLEWARE = []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"testserver")]}
    with pytest.raises(AssertionError):
        await get_asgi_application()(scope, receive, send)
    go_on.set()
    if seen["task"] is not asyncio.current_task():  # since Django 6.1, nothing of the request goes on
        await seen["task"]
    assert not any(thread.streams for thread in request_threads.threads)
