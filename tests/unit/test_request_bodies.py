"""Tests of the memory of request bodies while their streams are open, with Django's ASGI handler."""

import asyncio
import json
import tracemalloc

import pytest
from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.test import AsyncClient
from django.urls import path
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.views import AsyncSSEAPIView

SIZE = 2_000_000
"""Bytes that Django keeps in memory."""
JSON = json.dumps(["a" * SIZE]).encode()
FORM = b"a=" + b"a" * SIZE
seen: dict = {}


class Unread(AsyncSSEAPIView):
    async def get(self, request):
        yield "first"
        await seen["later"].wait()
        yield len(request.body)

    post = get


class Parsed(AsyncSSEAPIView):
    async def post(self, request):
        yield len(request.data[0] if isinstance(request.data, list) else request.data["a"])
        await seen["later"].wait()


class ParsedByRendererView(APIView):
    renderer_classes = [EventStreamRenderer]

    async def post(self, request):
        async def source():
            yield "first"
            await seen["later"].wait()

        assert len((await sync_to_async(lambda: request.data)())[0]) == SIZE
        request._data = request._full_data = None
        return Response(source())


async def read_by_a_plain_view(request):
    async def source():
        yield "first"
        await seen["later"].wait()
        yield len(request.body)

    assert len(request.body) > SIZE
    return EventStreamResponse(source())


def reading_middleware(get_response):
    async def middleware(request):
        seen["body"] = len(request.body)
        return await get_response(request)

    return middleware


reading_middleware.async_capable, reading_middleware.sync_capable = True, False
READING = "tests.unit.test_request_bodies.reading_middleware"


class Connection:
    """An open request with a body."""

    def __init__(self, method, body, content_type):
        self._messages = [{"type": "http.request", "body": body, "more_body": False}]
        headers = [(b"host", b"testserver"), (b"content-type", content_type), (b"accept", b"text/event-stream")]
        headers.append((b"content-length", str(len(body)).encode()))
        self.scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers}
        self.chunks: asyncio.Queue = asyncio.Queue()
        self.left = asyncio.Event()

    async def receive(self):
        if self._messages:
            return self._messages.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message.get("body"):
            self.chunks.put_nowait(message["body"])


@pytest.fixture
def serve(settings):
    async def serve(view, method="POST", body=JSON, content_type=b"application/json", middleware=()):
        """Return the bytes that are held while the stream is open, and what the stream sends after its first chunk."""
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
        settings.MIDDLEWARE = list(middleware)
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * SIZE
        seen["later"] = asyncio.Event()
        application, connection = get_asgi_application(), Connection(method, body, content_type)
        tracemalloc.start()
        try:
            request = asyncio.create_task(application(connection.scope, connection.receive, connection.send))
            first = asyncio.create_task(connection.chunks.get())
            await asyncio.wait([request, first], return_when=asyncio.FIRST_COMPLETED)
            assert first.done(), await request
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        seen["later"].set()
        await asyncio.wait([request], return_when=asyncio.FIRST_COMPLETED)
        await request
        rest = b"".join(connection.chunks.get_nowait() for _ in range(connection.chunks.qsize()))
        return held, rest

    return serve


@pytest.mark.parametrize("middleware", [(), (READING,)], ids=["", "read by middleware"])
async def test_the_body_of_a_get_request_is_released(serve, middleware):
    held, rest = await serve(Unread.as_view(), "GET", middleware=middleware)
    assert held < SIZE / 2
    assert rest == b"data: 0\n\n"


@pytest.mark.parametrize("middleware", [(), (READING,)], ids=["", "read by middleware"])
async def test_a_body_that_was_not_read_can_be_read_later(serve, middleware):
    _, rest = await serve(Unread.as_view(), middleware=middleware)
    assert rest == b"data: %d\n\n" % len(JSON)


async def test_a_body_that_a_plain_view_has_read_can_be_read_again(serve):
    _, rest = await serve(read_by_a_plain_view)
    assert rest == b"data: %d\n\n" % len(JSON)


@pytest.mark.parametrize("middleware", [(), (READING,)], ids=["", "read by middleware"])
@pytest.mark.parametrize(
    ("view", "body", "content_type"),
    [
        (Parsed, JSON, b"application/json"),
        (Parsed, FORM, b"application/x-www-form-urlencoded"),
        (ParsedByRendererView, JSON, b"application/json"),
    ],
    ids=["JSON", "form", "JSON, renderer only"],
)
async def test_a_body_that_was_parsed_is_released(serve, view, body, content_type, middleware):
    held, _ = await serve(view.as_view(), "POST", body, content_type, middleware)
    # The parsed data is still there, except where the view dropped it.
    assert held < SIZE * (0.5 if view is ParsedByRendererView else 1.5)


class Answering:
    """Views that answer with how much of the body the source can read after its first event."""

    @staticmethod
    async def plain(request):
        async def source():
            yield "first"
            await seen["later"].wait()
            yield len(request.body)

        return EventStreamResponse(source())

    class Later(AsyncSSEAPIView):
        async def post(self, request):
            yield "first"
            await seen["later"].wait()
            yield len(request.data[0])

        put = post


def touching_post(get_response):
    """Read the form, as ``CsrfViewMiddleware`` does, also of requests whose body is no form."""

    async def middleware(request):
        assert not request.POST
        return await get_response(request)

    return middleware


touching_post.async_capable, touching_post.sync_capable = True, False


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_body_that_is_no_form_can_be_read_after_the_form_was(serve, method):
    touching = "tests.unit.test_request_bodies.touching_post"
    _, rest = await serve(Answering.plain, method, middleware=[touching])
    assert rest == b"data: %d\n\n" % len(JSON)
    _, rest = await serve(Answering.Later.as_view(), method, middleware=[touching])
    assert rest == b"data: %d\n\n" % SIZE


def reading_twice(get_response):
    """Read the body before the view, so that it can be read again after it."""

    async def middleware(request):
        before = request.body
        response = await get_response(request)
        assert request.body == before
        return response

    return middleware


reading_twice.async_capable, reading_twice.sync_capable = True, False


@pytest.mark.parametrize("view", [Parsed, ParsedByRendererView])
async def test_middleware_can_read_the_body_again_after_the_view_has_parsed_it(serve, view):
    held, _ = await serve(view.as_view(), middleware=["tests.unit.test_request_bodies.reading_twice"])
    assert held < SIZE * 1.5


class Lazy(BaseParser):
    """A parser whose data is read later."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        return iter(lambda: stream.read(1000), b"")


class ParsedLazily(AsyncSSEAPIView):
    parser_classes = (Lazy,)

    async def post(self, request):
        parts = request.data
        yield "first"
        await seen["later"].wait()
        yield sum(map(len, parts))


@pytest.mark.parametrize("middleware", [(), (READING,)], ids=["", "read by middleware"])
async def test_a_body_that_a_parser_has_not_read_yet_can_be_read_later(serve, middleware):
    _, rest = await serve(ParsedLazily.as_view(), middleware=middleware)
    assert rest == b"data: %d\n\n" % len(JSON)


@pytest.mark.parametrize("method", ["get", "post"])
async def test_djangos_asynchronous_client_reads_streams_of_requests_with_a_body(settings, method):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield len(request.read(1))
            yield len(request.read())

        post = get

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", View.as_view())]})
    sent = {} if method == "get" else {"data": JSON, "content_type": "application/json"}
    response = await getattr(AsyncClient(), method)("/", **sent)
    body = b"".join([chunk async for chunk in response.streaming_content])
    assert body == (b"data: 0\n\ndata: 0\n\n" if method == "get" else b"data: 1\n\ndata: %d\n\n" % (len(JSON) - 1))


class Uploaded(AsyncSSEAPIView):
    async def post(self, request):
        [(name, file)] = request.FILES.items()
        yield name
        await seen["later"].wait()
        yield [file.size, len(file.read()), request.data["name"]]

    put = post


FILE = b'--b\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
UPLOAD = FILE % (b"name", b"", b"alice") + FILE % (b"file", b'; filename="f"', b"a" * SIZE) + b"--b--\r\n"


@pytest.mark.parametrize("largest", [0, 2 * SIZE], ids=["in a temporary file", "in memory"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_upload_can_be_read_after_its_body_was_released(serve, settings, method, largest):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = largest
    held, rest = await serve(Uploaded.as_view(), method, UPLOAD, b"multipart/form-data; boundary=b")
    assert held < SIZE * 1.5
    assert rest == b'data: [%d,%d,"alice"]\n\n' % (SIZE, SIZE)


async def read_completely(request):
    async def source():
        yield "first"
        await seen["later"].wait()

    assert request.read(1) + b"".join(request) == JSON
    return EventStreamResponse(source())


async def test_a_body_that_was_read_to_its_end_is_released(serve):
    held, _ = await serve(read_completely)
    assert held < SIZE / 2
