"""Tests of streams as JSON Lines, with negotiation, stock views and real servers."""

import asyncio
import itertools
import json
import os

import httpx
import pytest
from adrf.views import APIView
from rest_framework.decorators import renderer_classes
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.events.wire_formats import json_lines
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer, NDJSONRenderer
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream
from adrf_sse.views import AsyncSSEAPIView
from tests.project.views import SOURCES, WORDS
from tests.servers.test_servers import MIDDLEWARE, ROOT, SERVERS
from tests.support.parameters import slow_except
from tests.support.servers import serve
from tests.support.sources import Recorder

JSONL = {"Accept": "application/jsonl"}
NDJSON = {"Accept": "application/x-ndjson"}
LINES = b'{"event":"price","id":"1","data":{"eur":1}}\n{"event":"price","id":"2","data":{"eur":2}}\n'


async def prices():
    yield ServerSentEvent(comment="about to begin", retry=1000)
    yield "price", {"eur": 1}, 1
    yield "price", {"eur": 2}, 2


class Prices(AsyncSSEAPIView):
    renderer_classes = [EventStreamRenderer, JSONLinesRenderer]

    async def get(self, request):
        async for event in prices():
            yield event

    post = get


def stream_of(source, **given):
    return EventStream(source, options(given), json_lines())


# Negotiation


@pytest.mark.parametrize(("accept", "media_type"), [(JSONL, "application/jsonl"), (NDJSON, "application/x-ndjson")])
@pytest.mark.parametrize("method", ["get", "post"])
async def test_one_renderer_accepts_both_media_types(visit, method, accept, media_type):
    async with visit(Prices.as_view(), method=method, headers=accept) as stream:
        assert stream.status_code == 200
        assert await stream.body() == LINES
        assert dict(stream.headers) == {
            "Content-Type": media_type,
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
            "Allow": "GET, POST, HEAD, OPTIONS",
            "Vary": "Accept",
        }


@pytest.mark.parametrize(
    ("url", "accept", "content_type"),
    [
        ("/?format=jsonl", {}, "application/jsonl"),
        ("/?format=jsonl", NDJSON, "application/x-ndjson"),
        ("/", {}, "text/event-stream; charset=utf-8"),
        ("/?format=sse", {"Accept": "*/*"}, "text/event-stream; charset=utf-8"),
        ("/", {"Accept": "application/*"}, "application/jsonl"),
        ("/", {"Accept": "text/html, application/x-ndjson;q=0.9"}, "application/x-ndjson"),
    ],
)
async def test_rest_framework_negotiates_the_format(visit, url, accept, content_type):
    async with visit(Prices.as_view(), url=url, headers=accept) as stream:
        assert stream.headers["Content-Type"] == content_type
        await stream.body()


async def test_a_function_view_can_stream_lines(visit):
    @event_stream(methods=["GET", "POST"])
    @renderer_classes([JSONLinesRenderer])
    async def view(request):
        async for event in prices():
            yield event

    for method in ("get", "post"):
        async with visit(view, method=method, headers=NDJSON) as stream:
            assert await stream.body() == LINES


class Bare(JSONLinesRenderer):
    envelope = False
    other_media_types = ("application/x-ndjson", "application/vnd.prices+jsonl")


@pytest.mark.parametrize("media_type", [Bare.media_type, *Bare.other_media_types])
async def test_without_an_envelope_a_line_contains_only_the_data(visit, media_type):
    view = type("View", (Prices,), {"renderer_classes": [Bare]})
    async with visit(view.as_view(), headers={"Accept": media_type}) as stream:
        assert stream.headers["Content-Type"] == media_type
        assert await stream.body() == b'{"eur":1}\n{"eur":2}\n'


async def test_data_renderer_class_encodes_the_data(visit):
    class Spacious(JSONRenderer):
        compact = False

    class Renderer(JSONLinesRenderer):
        data_renderer_class = Spacious

    view = type("View", (Prices,), {"renderer_classes": [Renderer]})
    async with visit(view.as_view()) as stream:
        assert await stream.body() == LINES.replace(b'"eur":', b'"eur": ')


# Stock views


class Stock(APIView):
    renderer_classes = [JSONLinesRenderer, NDJSONRenderer]

    async def get(self, request):
        return Response(prices(), status=202, headers={"X-A": "b"})

    async def put(self, request):
        raise ValidationError({"limit": ["Too high."]})


class StockSync(SyncAPIView):
    renderer_classes = [JSONLinesRenderer, NDJSONRenderer]

    def get(self, request):
        return Response(prices(), status=202, headers={"X-A": "b"})

    def put(self, request):
        raise ValidationError({"limit": ["Too high."]})


@pytest.mark.parametrize(
    ("request_", "media_type"),
    [
        ({}, "application/jsonl"),
        ({"headers": JSONL}, "application/jsonl"),
        ({"headers": NDJSON}, "application/x-ndjson"),
        ({"url": "/?format=ndjson"}, "application/x-ndjson"),
    ],
)
@pytest.mark.parametrize("view", [Stock, StockSync])
async def test_a_stock_view_can_stream_lines(visit, view, request_, media_type):
    async with visit(view.as_view(), **request_) as stream:
        assert (stream.status_code, stream.headers["X-A"]) == (202, "b")
        assert stream.headers["Content-Type"] == media_type
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in stream.headers
        assert await stream.body() == LINES


@pytest.mark.parametrize("view", [Stock, StockSync])
async def test_a_response_without_a_stream_stays_json_with_its_status(visit, view):
    async with visit(view.as_view(), method="put", headers=JSONL) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (400, "application/json")
        assert await stream.body() == b'{"limit":["Too high."]}'


async def test_the_page_of_another_renderer_does_not_start_the_source(visit):
    source = Recorder("a")

    class View(APIView):
        renderer_classes = [JSONLinesRenderer, BrowsableAPIRenderer]
        authentication_classes = []

        async def get(self, request):
            return Response(source.run_for_ever())

    async with visit(View.as_view(), headers={"Accept": "text/html"}) as stream:
        assert b"Ask for it with Accept: application/jsonl." in await stream.body()
    assert not source.started


# Errors and ends


async def test_an_error_before_the_first_event_is_an_http_error(visit):
    class View(Prices):
        async def get(self, request):
            raise NotFound("No such thing.")
            yield

    async with visit(View.as_view(), headers=JSONL) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (404, "application/json")
        assert await stream.json() == {"detail": "No such thing."}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotFound("Gone."), b'{"event":"error","data":{"detail":"Gone.","code":"not_found"}}\n'),
        (ValueError("secret"), b'{"event":"error","data":{"detail":"A server error occurred.","code":"error"}}\n'),
    ],
    ids=repr,
)
async def test_an_error_after_an_event_is_a_line(visit, error, line):
    class View(Prices):
        async def get(self, request):
            yield "before"
            raise error

    async with visit(View.as_view(), headers=JSONL) as stream:
        assert await stream.body() == b'{"data":"before"}\n' + line
    bare = type("Bare", (View,), {"renderer_classes": [Bare]})
    async with visit(bare.as_view()) as stream:
        data = line.removeprefix(b'{"event":"error","data":').replace(b"}}", b"}")
        assert await stream.body() == b'"before"\n' + data


async def test_the_end_of_a_finite_stream_is_a_line_and_the_retry_delay_is_none(visit):
    view = type("View", (Prices,), {"finite": True, "retry": 500})
    async with visit(view.as_view(), headers=JSONL) as stream:
        assert await stream.body() == LINES + b'{"event":"end","id":"adrf-sse-end","data":{}}\n'
    async with visit(view.as_view(), headers=JSONL | {"Last-Event-ID": "adrf-sse-end"}) as stream:
        assert (stream.status_code, await stream.body()) == (204, b"")


async def test_a_stream_without_a_line_sends_nothing(visit):
    class View(Prices):
        async def get(self, request):
            yield ServerSentEvent(comment="c")

    async with visit(View.as_view(), headers=JSONL) as stream:
        assert await stream.next_chunk() is None
        assert stream.status_code == 200


async def test_a_shutdown_ends_the_stream_without_a_line():
    source = Recorder("a")
    stream = stream_of(source.run_for_ever())
    assert await anext(stream) == b'{"data":"a"}\n'
    stream.shut_down()
    assert [chunk async for chunk in stream] == []
    assert source.closed
    assert source.close_task is source.start_task


async def test_a_head_request_does_not_start_the_source(visit):
    source = Recorder("a")

    class View(Prices):
        async def get(self, request):
            return source.run_for_ever()

    async with visit(View.as_view(), method="head", headers=JSONL) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (200, "application/jsonl")
        assert await stream.body() == b""
    assert not source.started


async def test_the_source_is_closed_in_its_own_task_when_the_client_disconnects(visit):
    source = Recorder("a")

    class View(Prices):
        async def get(self, request):
            return source.run_for_ever()

    async with visit(View.as_view(), headers=JSONL) as stream:
        assert await stream.next_chunk() == b'{"data":"a"}\n'
    assert source.closed
    assert source.close_task is source.start_task


async def test_signals_are_sent_for_a_stream_of_lines(visit):
    sent_signals = []

    def record_signal(signal, stream, **kwargs):
        sent_signals.append((signal, kwargs.get("reason"), kwargs.get("events"), kwargs.get("bytes")))

    stream_opened.connect(record_signal)
    stream_closed.connect(record_signal)
    async with visit(Prices.as_view(), headers=JSONL) as stream:
        await stream.body()
    stream_opened.disconnect(record_signal)
    stream_closed.disconnect(record_signal)
    assert sent_signals == [(stream_opened, None, None, None), (stream_closed, "completed", 3, len(LINES))]


# Batching, heartbeats


async def test_lines_that_are_ready_together_are_sent_in_one_chunk():
    async def source():
        yield "a"
        yield ServerSentEvent(comment="no line")
        yield "b"
        await go.wait()
        yield "c"

    go = asyncio.Event()
    stream = stream_of(source())
    assert await anext(stream) == b'{"data":"a"}\n{"data":"b"}\n'
    go.set()
    assert await anext(stream) == b'{"data":"c"}\n'
    assert [chunk async for chunk in stream] == []


async def test_a_chunk_has_at_most_64_kib_and_the_source_waits_for_the_reader():
    line = b'{"data":"' + b"x" * 1012 + b'"}\n'  # 1 KiB
    source = Recorder(*["x" * 1012] * 200)
    stream = stream_of(source.run())
    assert await anext(stream) == line * (CHUNK_SIZE // len(line))
    assert source.yielded == 65
    assert b"".join([chunk async for chunk in stream]) == line * 136


async def test_a_heartbeat_is_a_space_before_the_next_line():
    async def source():
        await go.wait()
        yield "a"

    go = asyncio.Event()
    stream = stream_of(source(), heartbeat=0.01)
    assert await anext(stream) == await anext(stream) == b" "
    go.set()
    rest = b"".join([chunk async for chunk in stream])
    assert rest.strip(b" ") == b'{"data":"a"}\n'


async def test_heartbeats_are_sent_if_events_produce_no_line():
    async def source():
        yield ServerSentEvent(comment="c")
        await asyncio.Event().wait()

    stream = stream_of(source(), heartbeat=0.01)
    assert await anext(stream) == b" "
    await stream.aclose()


# Real servers


def read_line_by_line(client, url, accept, gates):
    """Read the stream at ``url``, and let its source continue only after each line has arrived."""
    with client.stream("GET", url, params={"gates": gates}, headers=accept) as response:
        lines = []
        for line in response.iter_lines():
            lines.append(json.loads(line))
            if len(lines) < len(WORDS):
                (gates / WORDS[len(lines)]).write_bytes(b".")
        return response, lines


@pytest.mark.server
@pytest.mark.parametrize(
    ("server", "middleware"),
    slow_except(
        [("uvicorn", "gzip"), ("gunicorn sync", "")], itertools.product(["uvicorn", "gunicorn sync"], MIDDLEWARE)
    ),
)
def test_each_line_arrives_before_the_next_event_exists(project, server, middleware, gates):
    client = project(server, *MIDDLEWARE[middleware])
    for name in ("formats", "lines", "lines-sync"):
        for kind in SOURCES:
            for accept in (JSONL, NDJSON):
                response, lines = read_line_by_line(client, f"/{name}/{kind}/", accept, gates)
                assert lines == [{"data": word} for word in WORDS], (name, kind)
                assert response.headers["Content-Type"] == accept["Accept"]


@pytest.mark.server
@pytest.mark.parametrize("server", slow_except(["uvicorn"], ["uvicorn", "gunicorn sync", "runserver"]))
def test_heartbeats_are_sent_and_the_source_is_closed_when_the_client_disconnects(server, tmp_path):
    marks = tmp_path / "marks"
    os.mkfifo(marks)
    env = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "TEST_HEARTBEAT": "0.05"}
    with serve(SERVERS[server], env=env, cwd=ROOT) as running:
        url = f"{running.url}/forever/"
        with httpx.stream("GET", url, params={"marks": str(marks)}, headers=JSONL, timeout=30) as response:
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if body.endswith(b"  "):
                    break
        assert marks.read_bytes() == b"."
    assert body.startswith(b'{"data":"one"}\n ')
