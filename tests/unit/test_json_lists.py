"""Tests of what a JSON list holds in memory, and of how it is sent and released."""

import asyncio
import gc
import gzip
import json
import time
import tracemalloc
from contextlib import contextmanager

import pytest
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer

from adrf_sse.events.list_sizes import rendered_size
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.streams import collector as collectors
from adrf_sse.streams.collector import count_lists
from adrf_sse.streams.timers import SendTimeout
from adrf_sse.views import AsyncSSEAPIView

JSON = {"Accept": "application/json"}
KIB = 1024
MAX = 2 * KIB * KIB
"""The limit for the memory of a list, in the tests that reach it: the true one takes long."""

NASTY = {
    "small numbers": [0] * 1000,
    "fractions": [0.5] * 1000,
    "empty lists": [[]] * 500,
    "empty dicts": [{}] * 500,
    "lists in lists": [[[[[[[1]]]]]]] * 100,
    "short strings": ["ab"] * 500,
    "emoji": "😀" + "a" * 500,
    "long text": "a" * 50_000,
    "a small dict": {"eur": 1.5, "name": "abc"},
    "a number": 1000,
}


async def repeated(value, count):
    for _ in range(count):
        yield value


class Listed(AsyncSSEAPIView):
    """Send one value many times."""

    renderer_classes = [EventStreamRenderer, JSONRenderer]
    value, count = "a" * 1000, 1000

    async def get(self, request):
        return repeated(self.value, self.count)


def view_of(**attributes):
    return type("View", (Listed,), attributes).as_view()


@contextmanager
def traced():
    """Trace memory without the garbage collector, and yield functions that return the bytes in use, and at most."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[0] - start, lambda: tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("indent", ["", "; indent=8"], ids=["", "indented"])
@pytest.mark.parametrize("name", NASTY)
async def test_a_list_takes_no_more_memory_than_its_limit(visit, monkeypatch, name, indent):
    monkeypatch.setattr(collectors, "MAX_MEMORY", MAX)
    line = json.dumps({"data": NASTY[name]}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    fitting = min(MAX // rendered_size(line, 8 if indent else 0), 10_000)
    headers = {"Accept": f"application/json{indent}"}
    warm = view_of(value=NASTY[name], count=1)
    for count, status in (fitting, 200), (10_000 * fitting, 406):
        async with visit(warm, headers=headers, served=True) as response:
            await response.body()
        with traced() as (_, most):
            async with visit(view_of(value=NASTY[name], count=count), headers=headers, served=True) as response:
                assert response.status_code == status
            assert most() < MAX + 600 * KIB


async def test_a_list_with_too_much_memory_is_a_406_response(visit, monkeypatch):
    monkeypatch.setattr(collectors, "MAX_MEMORY", MAX)
    async with visit(view_of(value=[[]] * 1000), headers=JSON) as response:
        assert response.status_code == 406
        assert await response.json() == {
            "detail": "One list of this stream's events takes more than 2,097,152 bytes of memory. "
            "Ask for it with the header Accept: text/event-stream."
        }


async def test_ten_thousand_ordinary_events_are_a_list(visit):
    row = {"id": 12345, "name": "A planet of our own", "price": "12.50", "moons": [1, 2, 3], "seen": None, "ok": True}
    async with visit(view_of(value=row, count=10_000), headers=JSON) as response:
        assert len(await response.json()) == 10_000


async def test_eight_mebibytes_of_text_are_a_list(visit):
    async with visit(view_of(value="a" * 80_000, count=100), headers=JSON) as response:
        assert len(await response.body()) > 8_000_000


# Release


class Wrapped(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        return super().render({"count": len(data), "results": data}, accepted_media_type, renderer_context)


@pytest.fixture
def send_list(settings):
    """Return a function that sends a view's list to a client that keeps nothing, and may leave after some parts."""

    async def send_list(view, parts=None):
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
        messages, left, sizes = [{"type": "http.request", "body": b"", "more_body": False}], asyncio.Event(), []

        async def receive():
            if not messages:
                await left.wait()
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message):
            sizes.append(len(message.get("body", b"")))
            if len(sizes) == parts:
                left.set()
                await asyncio.Event().wait()

        headers = [(b"accept", b"application/json")]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
        await get_asgi_application()(scope, receive, send)
        return sum(sizes)

    return send_list


@pytest.mark.parametrize("renderer", [JSONRenderer, Wrapped])
async def test_nothing_keeps_a_list_that_was_sent(send_list, renderer):
    view = view_of(renderer_classes=[renderer])
    await send_list(view)
    with traced() as (used, most):
        assert await send_list(view) > 1_000_000
        assert most() > 1_000_000
        assert used() < 500 * KIB
    assert count_lists() == 0


async def test_nothing_keeps_a_list_whose_client_leaves_while_it_is_sent(send_list):
    await send_list(Listed.as_view())
    with traced() as (used, most):
        assert 0 < await send_list(Listed.as_view(), parts=3) < 200_000
        assert most() > 1_000_000
        assert used() < 500 * KIB
    assert count_lists() == 0


async def test_nothing_keeps_a_list_that_is_too_long(visit):
    view = view_of(count=9000)
    for _ in range(2):
        with traced() as (used, most):
            async with visit(view, headers=JSON, served=True) as response:
                assert response.status_code == 406
            assert most() > 8000 * KIB
            assert used() < 500 * KIB
    assert count_lists() == 0


def replacing(get_response):
    async def middleware(request):
        await get_response(request)
        return HttpResponse("replaced")

    return middleware


replacing.async_capable, replacing.sync_capable = True, False


async def test_nothing_keeps_a_list_that_is_never_sent(visit):
    for _ in range(2):
        with traced() as (used, most):
            middleware = (f"{__name__}.{replacing.__name__}",)
            async with visit(Listed.as_view(), headers=JSON, served=True, middleware=middleware) as response:
                assert await response.body() == b"replaced"
            assert most() > 1_000_000
            assert used() < 500 * KIB
    assert count_lists() == 0


class Failing(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        if isinstance(data, list):
            raise ValueError("The test's own.")
        return super().render(data, accepted_media_type, renderer_context)


async def test_a_renderer_that_fails_gives_the_place_back(visit):
    async with visit(view_of(renderer_classes=[Failing]), headers=JSON, served=True) as response:
        assert response.status_code == 500
    assert count_lists() == 0


async def test_the_time_to_send_begins_again_with_each_part():
    timeout = SendTimeout(0.01)
    timeout.restart()
    time.sleep(0.02)  # noqa: ASYNC251
    timeout._seconds = 3600
    timeout.restart()
    for _ in range(10):
        await asyncio.sleep(0)
    timeout.stop()


async def test_a_part_that_takes_too_long_cancels_the_task():
    SendTimeout(0.01).restart()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_without_send_timeout_nothing_is_cancelled(send_list):
    assert await send_list(view_of(send_timeout=None)) > 1_000_000


# The number of lists


class Waiting(Listed):
    """A view whose source waits until the test lets it go on."""

    async def get(self, request):
        self.started.put_nowait(None)
        yield "a"
        await self.go_on.wait()
        if self.error is not None:
            raise self.error


def waiting(error=None):
    attributes = {"started": asyncio.Queue(), "go_on": asyncio.Event(), "error": error}
    return type("View", (Waiting,), attributes)


@pytest.fixture
def one_list(monkeypatch):
    monkeypatch.setattr(collectors, "MAX_LISTS", 1)


@pytest.mark.usefixtures("one_list")
@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(("error", "status"), [(None, 200), (NotFound(), 404), (ValueError(), 500)])
async def test_beyond_the_limit_of_the_process_a_list_is_refused(visit, served, error, status):
    view = waiting(error)

    async def listed():
        async with visit(view.as_view(), headers=JSON, served=served) as response:
            return response.status_code

    for _ in range(2):
        view.go_on.clear()
        listing = asyncio.create_task(listed())
        await view.started.get()
        async with visit(view.as_view(), headers=JSON, served=served) as second:
            assert (second.status_code, second.headers["Retry-After"]) == (503, "5")
            assert await second.json() == {"detail": "Too many streams are open. Try again later."}
        async with visit(view.as_view(), served=served) as stream:
            assert stream.status_code == 200  # a stream is not a list
        await view.started.get()
        assert view.started.empty()
        view.go_on.set()
        assert await listing == status
        assert count_lists() == 0


@pytest.mark.usefixtures("one_list")
async def test_a_list_counts_until_it_is_sent(visit):
    async with visit(view_of(count=8000), headers=JSON, served=True) as first:
        await first.next_chunk()
        async with visit(Listed.as_view(), headers=JSON, served=True) as second:
            assert second.status_code == 503
        await first.body()
    async with visit(Listed.as_view(), headers=JSON, served=True) as third:
        assert third.status_code == 200


@pytest.mark.usefixtures("one_list")
async def test_a_client_that_leaves_while_its_list_is_collected_gives_the_place_back(visit):
    view = waiting()
    request = visit(view.as_view(), headers=JSON, served=True)
    opening = asyncio.create_task(request.__aenter__())
    await view.started.get()
    assert count_lists() == 1
    await request.__aexit__(None, None, None)
    with pytest.raises(AssertionError):
        await opening
    assert count_lists() == 0


async def test_a_head_request_takes_no_place(visit, monkeypatch):
    monkeypatch.setattr(collectors, "MAX_LISTS", 0)
    async with visit(Listed.as_view(), method="head", headers=JSON, served=True) as response:
        assert response.status_code == 200


# Ordinary responses


class Urls:
    urlpatterns = [path("", view_of(value="a", count=3)), path("long/", Listed.as_view())]


@pytest.fixture
def urls(settings):
    settings.ROOT_URLCONF = Urls


@pytest.mark.usefixtures("urls")
async def test_an_asynchronous_test_client_keeps_the_list():
    response = await AsyncClient().get("/", headers=JSON)
    assert response.data == response.json() == [{"data": "a"}] * 3
    assert json.loads(response.content) == response.data
    assert count_lists() == 0


@pytest.mark.usefixtures("urls")
def test_a_synchronous_test_client_keeps_the_list():
    response = Client().get("/long/", headers=JSON)
    assert response.data == response.json() == [{"data": "a" * 1000}] * 1000
    assert count_lists() == 0


@pytest.mark.parametrize("served", [False, True])
async def test_a_view_can_replace_the_data_of_its_list(visit, served):
    class View(Listed):
        count = 2

        def finalize_response(self, request, response, *args, **kwargs):
            response.data = {"results": response.data}
            return super().finalize_response(request, response, *args, **kwargs)

    async with visit(View.as_view(), headers=JSON, served=served) as response:
        assert await response.json() == {"results": [{"data": "a" * 1000}] * 2}


async def test_middleware_sees_an_ordinary_response(visit):
    middleware = (
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    )
    headers = {**JSON, "Accept-Encoding": "gzip"}
    async with visit(Listed.as_view(), headers=headers, middleware=middleware, served=True) as response:
        body = await response.body()
    assert len(json.loads(gzip.decompress(body))) == 1000
    assert response.headers["Content-Length"] == str(len(body))
    headers["If-None-Match"] = response.headers["ETag"]
    async with visit(Listed.as_view(), headers=headers, middleware=middleware, served=True) as response:
        assert (response.status_code, await response.body()) == (304, b"")


async def test_a_list_can_be_cached(visit):
    calls = []

    class View(Listed):
        async def get(self, request):
            calls.append(request)
            return repeated(self.value, self.count)

    cache.clear()
    middleware = [f"django.middleware.cache.{name}CacheMiddleware" for name in ("Update", "FetchFrom")]
    for _ in range(2):
        async with visit(View.as_view(), headers=JSON, middleware=middleware, served=True) as response:
            assert await response.json() == [{"data": "a" * 1000}] * 1000
    assert len(calls) == 1
    cache.clear()
