"""Tests of compressed streams: each event can be decoded when it has been sent."""

import asyncio
import tracemalloc
import zlib
from random import Random

import django
import pytest
from adrf.views import APIView
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory
from django.urls import path
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.channels import apublish
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams import compression
from adrf_sse.streams.compression import ENCODERS, ZstdEncoder, negotiated_coding
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView
from tests.support.sources import Recorder

GZIP = {"Accept-Encoding": "gzip"}
GZIP_MIDDLEWARE = "django.middleware.gzip.GZipMiddleware"
KIB = 1024


class Decoder:
    """Decode a gzip body as it arrives."""

    def __init__(self):
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decode(self, chunk):
        return self._member.decompress(chunk)

    def decode_to_end(self, body):
        """Decode a body, which must be exactly one gzip member with its checksum."""
        decoded = self._member.decompress(body)
        assert self._member.eof
        assert not self._member.unused_data
        return decoded


class Steps:
    """A source that yields its next item when the test tells it to."""

    def __init__(self, *items):
        self._items = items
        self._go = asyncio.Semaphore(1)

    async def run(self):
        for item in self._items:
            await self._go.acquire()
            yield item

    def go_on(self):
        self._go.release()


def views(source):
    """Return a compressing view of each kind, all of which stream the same source."""

    class View(AsyncSSEAPIView):
        compress = True

        async def get(self, request):
            return source.run()

    class RendererOnly(APIView):
        renderer_classes = [EventStreamRenderer]
        compress = True

        async def get(self, request):
            return Response(source.run())

    class RendererOnlySync(SyncAPIView):
        renderer_classes = [EventStreamRenderer]
        compress = True

        def get(self, request):
            return Response(source.run())

    @event_stream(compress=True)
    async def function(request):
        return source.run()

    async def plain(request):
        return EventStreamResponse(source.run(), compress=True)

    def plain_sync(request):
        return EventStreamResponse(source.run(), compress=True)

    return {
        "view": View.as_view(),
        "renderer only": RendererOnly.as_view(),
        "renderer only, sync": RendererOnlySync.as_view(),
        "function": function,
        "plain": plain,
        "plain, sync": plain_sync,
    }


def view_of(items, **options):
    async def get(self, request):
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item

    return type("View", (AsyncSSEAPIView,), {"get": get, "compress": True, **options}).as_view()


def varies(headers):
    return "accept-encoding" in [name.strip().lower() for name in headers.get("Vary", "").split(",")]


# Negotiation


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("*", "gzip"),
        ("gzip ; q=0.5", "gzip"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, *", "gzip"),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0, *", None),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=nan", None),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=", None),
        ("gzip;level=1", None),
        ("gzipped", None),
        (",;,;;=,", None),
    ],
)
def test_the_coding_is_the_one_that_the_client_prefers(accept_encoding, coding, monkeypatch):
    monkeypatch.delitem(ENCODERS, "zstd", raising=False)  # of Python 3.14
    assert negotiated_coding(accept_encoding) == coding


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("gzip;q=0.9, zstd", "zstd"),
        ("zstd", "zstd"),
        ("gzip;q=0, *", "zstd"),
        ("zstd;q=0, gzip;q=0", None),
        ("zstd;q=0.5, identity", None),
    ],
)
def test_zstandard_is_chosen_by_clients_that_prefer_it(accept_encoding, coding, monkeypatch):
    monkeypatch.setitem(ENCODERS, "zstd", ZstdEncoder)
    assert negotiated_coding(accept_encoding) == coding


def test_each_chunk_can_be_decoded_with_zstandard(monkeypatch):
    zstd = compression.zstd or pytest.importorskip("backports.zstd")  # the module of Python 3.14 for older versions
    monkeypatch.setattr(compression, "zstd", zstd)
    encoder, decoder = ZstdEncoder(), zstd.ZstdDecompressor()
    for chunk in (b"data: one\n\n", b"data: two\n\n", b":\n", b"x" * 100_000):
        assert decoder.decompress(encoder.add(chunk)) == chunk
    assert decoder.decompress(encoder.end()) == b""
    assert decoder.eof


# Events


@pytest.mark.parametrize("kind", views(None))
async def test_each_event_can_be_decoded_as_soon_as_it_is_sent(visit, kind):
    source = Steps("one", "two", "three")
    decoder = Decoder()
    async with visit(views(source)[kind], headers=GZIP) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"
        assert varies(stream.headers)
        for word in (b"one", b"two", b"three"):
            decoded = b""
            while not decoded:
                decoded = decoder.decode(await stream.next_chunk())
            assert decoded == b"data: %s\n\n" % word
            source.go_on()
        assert decoder.decode_to_end(await stream.next_chunk()) == b""
        assert await stream.next_chunk() is None


@pytest.mark.parametrize("kind", views(None))
@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip;q=0, identity"}], ids=["none", "refused"])
async def test_a_client_that_does_not_accept_gzip_gets_the_events_as_they_are(visit, kind, headers):
    async with visit(views(Recorder("a"))[kind], headers=headers) as stream:
        assert "Content-Encoding" not in stream.headers
        assert varies(stream.headers)
        assert await stream.body() == b"data: a\n\n"


async def test_a_stream_is_not_compressed_without_the_option(visit):
    async with visit(view_of("a", compress=False), headers=GZIP) as stream:
        assert "Content-Encoding" not in stream.headers
        assert not varies(stream.headers)
        assert await stream.body() == b"data: a\n\n"


async def test_json_lines_are_compressed(visit):
    view = view_of([("price", {"eur": 1})], renderer_classes=[JSONLinesRenderer])
    async with visit(view, headers={**GZIP, "Accept": "application/jsonl"}) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"
        assert Decoder().decode_to_end(await stream.body()) == b'{"event":"price","data":{"eur":1}}\n'


async def test_each_subscriber_of_a_channel_can_decode_its_events(visit):
    class Channel(ChannelStreamView):
        compress = True

        def get_channels(self):
            return ["news"]

    view = Channel.as_view()
    async with visit(view, headers=GZIP) as first, visit(view, headers=GZIP) as second, visit(view) as third:
        identifier = await apublish("news", "paper", event="print")
        frame = b"id: %s\nevent: print\ndata: paper\n\n" % str(identifier).encode()
        for stream in (first, second):
            decoder, decoded = Decoder(), b""
            while not decoded.endswith(frame):
                decoded += decoder.decode(await stream.next_chunk())
        assert [event.data for event in await third.take(2)] == ["{}", "paper"]  # the first one is "ready"


# What the package sends itself


async def test_heartbeats_can_be_decoded_as_soon_as_they_are_sent(visit):
    class View(AsyncSSEAPIView):
        compress = True
        heartbeat = 0.01
        retry = 7

        async def get(self, request):
            yield "a"
            await asyncio.Event().wait()

    decoder, decoded = Decoder(), b""
    async with visit(View.as_view(), headers=GZIP) as stream:
        while not decoded.endswith(b":\n:\n:\n"):
            decoded += decoder.decode(await stream.next_chunk())
    assert decoded.startswith(b"retry: 7\n")


async def test_an_error_event_is_compressed_and_the_encoded_stream_has_an_end(visit):
    async with visit(view_of(["a", NotFound()]), headers=GZIP) as stream:
        decoded = Decoder().decode_to_end(await stream.body())
    assert decoded.startswith(b"data: a\n\nevent: error\ndata: ")


async def test_an_error_before_the_first_event_is_not_compressed(visit):
    async with visit(view_of([NotFound()]), headers=GZIP) as stream:
        assert stream.status_code == 404
        assert "Content-Encoding" not in stream.headers
        assert await stream.json() == {"detail": "Not found."}


async def test_a_stream_without_events_is_an_encoded_stream_without_content(visit):
    async with visit(view_of([]), headers=GZIP) as stream:
        assert Decoder().decode_to_end(await stream.body()) == b""


@pytest.mark.parametrize("end", ["expire", "revoke", "shut_down"])
async def test_a_stream_that_is_ended_has_the_end_of_its_encoding(visit, end):
    streams = []

    async def view(request):
        response = EventStreamResponse(Recorder("a").run_for_ever(), compress=True)
        streams.append(response.stream)
        return response

    decoder = Decoder()
    async with visit(view, headers=GZIP) as stream:
        decoded = decoder.decode(await stream.next_chunk())
        getattr(streams[0], end)()
        rest = [chunk async for chunk in chunks(stream)]
    decoded += decoder.decode_to_end(b"".join(rest))
    assert decoded.startswith(b"data: a\n\n")
    assert (b"retry: " in decoded) == (end == "shut_down")


async def chunks(stream):
    while (chunk := await stream.next_chunk()) is not None:
        yield chunk


async def test_the_source_is_closed_when_the_client_disconnects(visit):
    source = Recorder("a")

    async def view(request):
        return EventStreamResponse(source.run_for_ever(), compress=True)

    async with visit(view, headers=GZIP) as stream:
        assert Decoder().decode(await stream.next_chunk()) == b"data: a\n\n"
    assert source.closed
    assert source.close_task is source.start_task


async def test_a_client_that_stops_reading_a_compressed_stream_is_disconnected(visit):
    random = Random(1)
    source = Recorder(*[random.randbytes(30_000).hex() for _ in range(40)])

    async def view(request):
        return EventStreamResponse(source.run(), compress=True, send_timeout=0.01)

    async with visit(view, headers=GZIP, served=True) as stream, asyncio.timeout(30):
        await stream.next_chunk()
        while not source.closed:
            await asyncio.sleep(0)
    assert source.yielded < len(source.items)


# Other responses


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_the_headers_of_a_head_response_are_those_of_get(visit, accept):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        renderer_classes = [EventStreamRenderer, JSONRenderer]
        compress = True

        async def get(self, request):
            return source.run()

    answers = []
    for method in ("head", "get"):
        async with visit(View.as_view(), method=method, headers={**GZIP, "Accept": accept}) as stream:
            assert source.started == (method == "get")
            headers = {name: value for name, value in stream.headers.items() if name != "Content-Length"}
            answers.append((headers, await stream.body()))
    (head, empty), (get, _) = answers
    assert head == get
    assert empty == b""
    assert ("Content-Encoding" in head) == (accept == "text/event-stream")


async def test_a_stream_that_the_view_has_encoded_is_sent_as_it_is(visit):
    async def view(request):
        return EventStreamResponse(Recorder("a").run(), compress=True, headers={"Content-Encoding": "identity"})

    async with visit(view, headers=GZIP) as stream:
        assert stream.headers["Content-Encoding"] == "identity"
        assert await stream.body() == b"data: a\n\n"


async def test_a_refusal_of_a_stream_is_not_compressed(visit, settings):
    settings.ADRF_SSE = {"MAX_STREAMS": 1}

    async def view(request):
        return EventStreamResponse(Recorder("a").run_for_ever(), compress=True)

    async with visit(view, headers=GZIP), visit(view, headers=GZIP) as stream:
        assert stream.status_code == 503
        assert "Content-Encoding" not in stream.headers
        assert "detail" in await stream.json()


# Middleware


@pytest.mark.parametrize("kind", views(None))
async def test_gzip_middleware_does_not_compress_a_compressed_stream_again(visit, kind):
    async with visit(views(Recorder("a"))[kind], middleware=(GZIP_MIDDLEWARE,), headers=GZIP) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"
        assert Decoder().decode_to_end(await stream.body()) == b"data: a\n\n"


async def test_gzip_middleware_does_not_compress_a_compressing_view_for_a_client_that_refuses_gzip(visit):
    headers = {"Accept-Encoding": "gzip;q=0"}
    async with visit(views(Recorder("a"))["view"], middleware=(GZIP_MIDDLEWARE,), headers=headers) as stream:
        assert await stream.body() == b"data: a\n\n"


@pytest.mark.skipif(django.VERSION < (6, 1), reason="GZipMiddleware delays or splits streams before Django 6.1")
async def test_gzip_middleware_compresses_other_streams_as_one_member_that_it_flushes(visit):
    source, decoder = Steps("one", "two"), Decoder()

    async def view(request):
        return EventStreamResponse(source.run())

    async with visit(view, middleware=(GZIP_MIDDLEWARE,), headers=GZIP) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"
        for word in (b"one", b"two"):
            decoded = b""
            while not decoded:
                decoded = decoder.decode(await stream.next_chunk())
            assert decoded == b"data: %s\n\n" % word
            source.go_on()
        assert decoder.decode_to_end(b"".join([chunk async for chunk in chunks(stream)])) == b""


@pytest.mark.parametrize("kind", ["view", "plain"])
async def test_what_middleware_makes_of_a_stream_is_compressed(visit, kind):
    middleware = ("tests.unit.test_compression.shouting",)
    async with visit(views(Recorder("a"))[kind], middleware=middleware, headers=GZIP) as stream:
        assert Decoder().decode_to_end(await stream.body()) == b"DATA: A\n\n"


def shouting(get_response):
    async def middleware(request):
        response = await get_response(request)
        content = response.streaming_content

        async def shouted():
            async for chunk in content:
                yield chunk.upper()

        response.streaming_content = shouted()
        return response

    return middleware


shouting.async_capable = True
shouting.sync_capable = False


# WSGI


@pytest.mark.parametrize("kind", views(None))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.django_db  # The handler sends request_started, which looks at each connection to a database of the thread.
def test_a_stream_is_compressed_under_wsgi(settings, kind, method):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", views(Recorder("a", "b"))[kind])]})
    settings.MIDDLEWARE = []
    sent = []
    environ = RequestFactory().generic(method, "/", headers=GZIP).environ
    response = get_wsgi_application()(environ, lambda status, headers: sent.extend(headers))
    body = b"".join(response)
    response.close()
    assert ("Content-Encoding", "gzip") in sent
    assert body == b"" if method == "HEAD" else Decoder().decode_to_end(body) == b"data: a\n\ndata: b\n\n"


# Cost


def test_an_encoder_keeps_at_most_40_kib():
    random = Random(1)
    texts = [random.randbytes(30_000), b"data: event\n\n" * 3_000, random.randbytes(30_000), b"data: a\n\n"]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        encoders = [ENCODERS["gzip"]() for _ in range(20)]
        for text in texts:
            for encoder in encoders:
                encoder.add(text)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 8 * KIB < (after - before) / len(encoders) < 40 * KIB


def test_the_events_of_a_chat_shrink_fifteen_times():
    template = (
        b'data: {"id":"chat-7Zq0aVb3","object":"chat.completion.chunk","created":1700000000,"model":"example-model-1",'
        b'"system_fingerprint":"fp_5d9c1b2a","choices":[{"index":0,"delta":{"content":" %s"},"logprobs":null,'
        b'"finish_reason":null}]}\n\n'
    )
    words = (__doc__ or "").encode().split() * 50
    frames = [template % word for word in words]
    encoder = ENCODERS["gzip"]()
    assert sum(map(len, frames)) > 15 * sum(len(encoder.add(frame)) for frame in frames)
