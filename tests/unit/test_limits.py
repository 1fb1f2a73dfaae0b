"""Tests of ``MAX_STREAMS`` and ``ConcurrentStreamThrottle``."""

import asyncio
import gc
from contextlib import AsyncExitStack, suppress
from threading import Barrier

import pytest
from adrf.views import APIView
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils.decorators import async_only_middleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import throttle_classes
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.channels import adisconnect
from adrf_sse.decorators import event_stream
from adrf_sse.exceptions import TooManyStreams
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runs.local import count_runs
from adrf_sse.settings import setting_problems
from adrf_sse.streams.limits import Limit, StreamCounts, stream_counts
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.testing import StreamEnded
from adrf_sse.throttling import ConcurrentStreamThrottle
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView, RunView

RENDERERS = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]
JSON = {"Accept": "application/json"}


class One(ConcurrentStreamThrottle):
    THROTTLE_STREAMS = 1


class ByName(BaseAuthentication):
    """Authenticate the user whose primary key is in the query."""

    def authenticate(self, request):
        pk = request.query_params.get("user")
        return (User(pk=pk), None) if pk else None


class Source:
    """Count the sources that have started."""

    started = 0

    async def endless(self):
        Source.started += 1
        yield "first"
        await asyncio.Event().wait()

    def sync(self):
        Source.started += 1
        yield "first"
        yield "last"


@pytest.fixture(autouse=True)
def started():
    Source.started = 0
    yield
    assert stream_counts.count("process") == 0
    assert len(open_streams) == 0


class Limited:
    authentication_classes = [ByName]
    throttle_classes = [One]


class Mixin(Limited, AsyncSSEAPIView):
    renderer_classes = RENDERERS

    async def get(self, request):
        async for event in Source().endless():
            yield event

    async def post(self, request):
        return Response({"no": "stream"})


class ReturnsResponse(Limited, AsyncSSEAPIView):
    async def get(self, request):
        return EventStreamResponse(Source().endless())


class Adrf(Limited, APIView):
    renderer_classes = RENDERERS

    async def get(self, request):
        return Response(Source().endless())

    async def post(self, request):
        return Response({"no": "stream"})


class Drf(Limited, SyncAPIView):
    renderer_classes = RENDERERS

    def get(self, request):
        return Response(Source().endless())

    def post(self, request):
        return Response({"no": "stream"})


class WaitingDrf(Drf):
    first_event_timeout = 1


class DrfResponse(Limited, SyncAPIView):
    def get(self, request):
        return EventStreamResponse(Source().endless(), request=request)


class Channel(Limited, ChannelStreamView):
    def get_channels(self):
        return ["news"]


@event_stream
@throttle_classes([One])
async def function(request):
    async for event in Source().endless():
        yield event


async def plain(request):
    return EventStreamResponse(Source().endless())


async def plain_with_request(request):
    return EventStreamResponse(Source().endless(), request=request)


THROTTLED = [Mixin, ReturnsResponse, Adrf, Drf, WaitingDrf, DrfResponse, Channel, function]


def view_of(value):
    return value.as_view() if isinstance(value, type) else value


@pytest.fixture
def one_stream(settings):
    settings.ADRF_SSE = {"MAX_STREAMS": 1}


async def refusal(response, status):
    assert response.status_code == status
    assert response.headers["Retry-After"] == "5"
    return (await response.json())["detail"]


REPLACED = []
"""Responses that a middleware has replaced, so that the garbage collector does not help."""


@async_only_middleware
def replacing(get_response):
    async def middleware(request):
        REPLACED.append(await get_response(request))
        return HttpResponse("replaced")

    return middleware


# MAX_STREAMS


@pytest.mark.usefixtures("one_stream")
@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("view", [Mixin, ReturnsResponse, Adrf, Drf, WaitingDrf, Channel, plain, plain_with_request])
async def test_a_stream_beyond_the_limit_of_the_process_is_refused_before_its_source_starts(visit, view, served):
    view = view if not isinstance(view, type) else type("View", (view,), {"throttle_classes": []}).as_view()
    for _ in range(2):
        async with visit(view, served=served) as first:
            await first.next_chunk()
            started = Source.started
            async with visit(view, served=served) as second:
                assert await refusal(second, 503) == "Too many streams are open. Try again later."
            assert Source.started == started
            assert stream_counts.count("process") == 1


@pytest.mark.usefixtures("one_stream")
async def test_a_json_list_counts_from_the_start_of_its_source_to_its_end(visit):
    go_on, reached = asyncio.Event(), asyncio.Event()

    class List(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            yield 1
            reached.set()
            await go_on.wait()

    async def listed():
        async with visit(List.as_view(), headers=JSON) as response:
            return await response.json()

    listing = asyncio.create_task(listed())
    await reached.wait()
    for headers in ({}, JSON):
        async with visit(List.as_view(), headers=headers) as response:
            await refusal(response, 503)
    go_on.set()
    assert len(await listing) == 1


@pytest.mark.usefixtures("one_stream")
@pytest.mark.parametrize("view", [Mixin, Adrf, Drf, plain])
async def test_a_response_that_nothing_reads_gives_its_place_back(visit, view):
    middleware = f"{__name__}.{replacing.__name__}"
    async with visit(view_of(view), served=True, middleware=[middleware]) as response:
        assert await response.body() == b"replaced"
    while stream_counts.count("process"):
        await asyncio.sleep(0)
    REPLACED.clear()


@pytest.mark.usefixtures("one_stream")
async def test_a_response_that_is_dropped_gives_its_place_back():
    EventStreamResponse(Source().endless())
    gc.collect()
    assert stream_counts.count("process") == 0
    assert Source.started == 0


@pytest.mark.usefixtures("one_stream")
@pytest.mark.parametrize("method", ["head", "options"])
async def test_head_and_options_take_no_place(visit, method):
    for view in (Mixin, Adrf, Drf):
        async with visit(view.as_view()) as stream:
            await stream.next_chunk()
            async with visit(view.as_view(), method=method) as response:
                assert response.status_code == 200
            assert stream_counts.count("process") == 1


@pytest.mark.usefixtures("one_stream")
async def test_an_error_before_the_first_event_gives_the_place_back(visit):
    class Missing(AsyncSSEAPIView):
        async def get(self, request):
            raise NotFound
            yield

    for _ in range(2):
        async with visit(Missing.as_view()) as response:
            assert response.status_code == 404


@pytest.mark.usefixtures("one_stream")
async def test_a_client_that_leaves_before_the_first_event_gives_the_place_back(visit):
    waiting = asyncio.Event()

    class Silent(AsyncSSEAPIView):
        first_event_timeout = 60

        async def get(self, request):
            waiting.set()
            await asyncio.Event().wait()
            yield

    async def leave():
        async with visit(Silent.as_view()):
            raise AssertionError

    for _ in range(2):
        waiting.clear()
        client = asyncio.create_task(leave())
        await waiting.wait()
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client
        while stream_counts.count("process"):
            await asyncio.sleep(0)


@pytest.mark.usefixtures("one_stream")
async def test_a_stream_that_is_disconnected_gives_its_place_back(visit):
    async with visit(Channel.as_view()) as stream:
        await stream.next_chunk()
        await adisconnect(channel="news")
        with pytest.raises(StreamEnded):
            await stream.next(timeout=30)
        assert stream_counts.count("process") == 0


@pytest.mark.usefixtures("one_stream")
def test_the_limit_holds_under_wsgi(settings):
    def view(request):
        return EventStreamResponse(Source().sync())

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
    client = Client()
    for _ in range(2):
        first = client.get("/")
        second = client.get("/")
        assert (second.status_code, second.headers["Retry-After"]) == (503, "5")
        assert b"Too many streams" in b"".join(second.streaming_content)
        assert b"".join(first.streaming_content) == b"data: first\n\ndata: last\n\n"
        first.close()
        second.close()


async def test_many_requests_at_once_do_not_exceed_the_limit(visit, settings):
    settings.ADRF_SSE = {"MAX_STREAMS": 3}
    opened, done = [], asyncio.Event()

    async def client(view):
        async with visit(view) as response:
            if response.status_code == 200:
                await response.next_chunk()
            opened.append(response.status_code)
            await done.wait()

    views = [plain, Adrf.as_view(throttle_classes=[]), Drf.as_view(throttle_classes=[])] * 4
    async with asyncio.TaskGroup() as group:
        for view in views:
            group.create_task(client(view))
        while len(opened) < len(views):
            await asyncio.sleep(0)
        done.set()
    assert sorted(opened) == [200] * 3 + [503] * 9


def test_bad_limits_are_reported(settings):
    settings.ADRF_SSE = {"MAX_STREAMS": 0, "RECONNECT_RATE": "fast"}
    limits, rate = setting_problems()
    assert "MAX_STREAMS must be 1 or more, got 0" in limits
    assert "RECONNECT_RATE must be a whole number, got 'fast'" in rate


def test_a_slot_counts_each_key_once_and_can_be_released_twice():
    counts = StreamCounts()
    slot = counts.take([Limit("a", 2, TooManyStreams)])
    assert counts.take([Limit("a", 2, TooManyStreams), Limit("b", 1, TooManyStreams)], slot) is slot
    assert (counts.count("a"), counts.count("b")) == (1, 1)
    with pytest.raises(TooManyStreams):
        counts.take([Limit("a", 2, TooManyStreams), Limit("b", 1, TooManyStreams)])
    assert counts.count("a") == 1, "a refused stream is not counted under any key"
    slot.release()
    slot.release()
    del slot
    assert (counts.count("a"), counts.count("b")) == (0, 0)


# ConcurrentStreamThrottle


@pytest.mark.parametrize("view", THROTTLED)
@pytest.mark.parametrize("served", [False, True])
async def test_a_user_or_an_address_beyond_its_limit_is_refused(visit, view, served):
    view = view_of(view)
    for mine, theirs in (("/?user=7", "/?user=8"), ("/", {"REMOTE_ADDR": "10.1.1.1"})):
        if view is function and mine != "/":
            continue
        other = {"url": theirs} if isinstance(theirs, str) else {"extra": theirs}
        for _ in range(2):
            async with visit(view, url=mine, served=served) as first:
                await first.next_chunk()
                started = Source.started
                async with visit(view, url=mine, served=served) as second:
                    await refusal(second, 429)
                assert Source.started == started
                async with visit(view, served=served, url=other.get("url", "/"), **other.get("extra", {})) as third:
                    assert third.status_code == 200
                    await third.next_chunk()
            for key in ("user:7", "user:8", "address:127.0.0.1", "address:10.1.1.1"):
                while stream_counts.count(f"streams:{key}"):
                    await asyncio.sleep(0)


@pytest.mark.parametrize("view", [Mixin, Adrf, Drf])
async def test_what_is_no_stream_is_not_limited(visit, view):
    view = view.as_view()
    async with visit(view) as stream:
        await stream.next_chunk()
        for method, headers in (("head", {}), ("options", JSON), ("post", JSON), ("post", {})):
            async with visit(view, method=method, headers=headers) as response:
                assert response.status_code == 200
        assert stream_counts.count("streams:address:127.0.0.1") == 1


class LimitedRun(Limited, RunView):
    async def run(self, request):
        async for event in Source().endless():
            yield event


async def test_at_the_limit_a_run_can_be_stopped_and_none_can_be_started(settings, event_stream_client):
    settings.ADRF_SSE = {}
    view = LimitedRun.as_view()
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view), path("<str:run_id>/", view)]})
    async with event_stream_client.post("/?user=7") as stream:
        assert (await stream.next()).data == "first"
        async with event_stream_client.post("/?user=7") as second:
            await refusal(second, 429)
        assert Source.started == count_runs() == 1
        async with event_stream_client.delete(f"{stream.headers['Location']}?user=7") as stopped:
            assert stopped.status_code == 204
        assert (await stream.next()).data == '{"status":"stopped"}'


async def meet_in_loop(self, request):
    await self.barrier.wait()
    return Response(Source().endless())


def meet_in_thread(self, request):
    self.barrier.wait()
    return Response(Source().endless())


@pytest.mark.parametrize(
    ("view", "handler", "barrier"),
    [(Mixin, meet_in_loop, asyncio.Barrier), (Adrf, meet_in_loop, asyncio.Barrier), (Drf, meet_in_thread, Barrier)],
)
async def test_requests_that_pass_the_throttle_together_do_not_exceed_the_limit(visit, view, handler, barrier):
    """All of them are between the throttle and their stream when the first one opens."""
    view = type("Together", (view,), {"get": handler, "barrier": barrier(5)}).as_view()
    statuses, done = [], asyncio.Event()

    async def client():
        async with visit(view, served=True) as response:
            statuses.append(response.status_code)
            await done.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(client())
        while len(statuses) < 5:
            await asyncio.sleep(0)
        done.set()
    assert sorted(statuses) == [200, 429, 429, 429, 429]


async def test_a_handler_that_raises_takes_no_place(visit):
    class Failing(Mixin):
        async def get(self, request):
            if request.GET.get("fail"):
                raise NotFound
            return Source().endless()

    for _ in range(2):
        async with visit(Failing.as_view(), url="/?fail=1") as response:
            assert response.status_code == 404
    async with visit(Failing.as_view()) as stream:
        assert stream.status_code == 200


async def test_a_json_list_counts(visit):
    async with visit(Mixin.as_view()) as stream:
        await stream.next_chunk()
        async with visit(Mixin.as_view(), headers=JSON) as response:
            await refusal(response, 429)


async def test_the_address_is_that_of_rest_framework(visit, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    async with visit(Mixin.as_view(), headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}) as stream:
        await stream.next_chunk()
        async with visit(Mixin.as_view(), headers={"X-Forwarded-For": "7.7.7.7, 10.0.0.1"}) as response:
            await refusal(response, 429)
        async with visit(Mixin.as_view(), headers={"X-Forwarded-For": "10.0.0.2"}) as response:
            assert response.status_code == 200


async def test_the_limit_is_an_attribute_of_the_view(visit):
    class Two(Mixin):
        throttle_classes = [ConcurrentStreamThrottle]
        THROTTLE_STREAMS = 2

    class Unlimited(Two):
        THROTTLE_STREAMS = None

    async with visit(Two.as_view()) as one, visit(Two.as_view()) as two:
        assert (one.status_code, two.status_code) == (200, 200)
        await two.next_chunk()
        async with visit(Two.as_view()) as three:
            await refusal(three, 429)
        async with visit(Unlimited.as_view()) as three:
            assert three.status_code == 200


async def test_the_default_limit_is_six(visit):
    class Default(Mixin):
        throttle_classes = [ConcurrentStreamThrottle]

    async with AsyncExitStack() as stack:
        for _ in range(6):
            stream = await stack.enter_async_context(visit(Default.as_view()))
            assert stream.status_code == 200
            await stream.next_chunk()
        async with visit(Default.as_view()) as seventh:
            await refusal(seventh, 429)


async def test_throttles_with_another_scope_count_for_themselves(visit):
    class Exports(One):
        scope = "exports"

    class Export(Mixin):
        throttle_classes = [Exports]

    async with visit(Mixin.as_view()) as one, visit(Export.as_view()) as other:
        assert (one.status_code, other.status_code) == (200, 200)


async def test_a_bad_limit_is_an_error_that_names_it(visit, caplog):
    class Bad(Mixin):
        THROTTLE_STREAMS = "two"

    async with visit(Bad.as_view()) as response:
        assert response.status_code == 500
    assert "THROTTLE_STREAMS must be a whole number, got 'two'" in caplog.text


def test_the_garbage_collector_may_release_a_slot_while_another_is_counted():
    counts = StreamCounts()
    slot = counts.take([Limit("key", 1, TooManyStreams)])
    with counts._lock:
        slot.release()  # as Slot.__del__() does, in the thread that holds the lock
    assert counts.count("key") == 0
