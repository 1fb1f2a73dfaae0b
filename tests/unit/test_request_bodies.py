"""Tests of the memory of request bodies while their streams are open, with Django's ASGI handler."""

import asyncio
import json
import tracemalloc

import pytest
from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.urls import path
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
            await connection.chunks.get()
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
