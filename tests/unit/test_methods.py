"""Streams and HTTP: QUERY, HEAD, ranges and conditional requests."""

import pytest

from adrf_sse.decorators import event_stream
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

BODY = '{"words": ["a"]}'
WORDS = b'data: {"words":["a"]}\n\n'


class Search(AsyncSSEAPIView):
    http_method_names = [*AsyncSSEAPIView.http_method_names, "query"]

    async def query(self, request):
        yield {"words": request.data["words"]}


@event_stream(methods=["QUERY"])
async def search(request):
    yield {"words": request.data["words"]}


@pytest.mark.parametrize("view", [Search.as_view(), search], ids=["class", "function"])
async def test_a_query_request_is_answered_by_a_stream(visit, view):
    async with visit(view, method="get") as stream:  # sets the URLs, too
        assert stream.status_code == 405
    client = EventStreamClient()
    async with client.generic("QUERY", "/", BODY, "application/json") as stream:
        assert (stream.status_code, await stream.body()) == (200, WORDS)


async def test_a_finite_answer_to_query_has_no_end_id(visit):
    view = Search.as_view(finite=True, end_event="[DONE]")
    async with visit(view, method="options") as stream:
        assert "QUERY" in stream.headers["Allow"]
    async with EventStreamClient().generic("QUERY", "/", BODY, "application/json") as stream:
        assert await stream.body() == WORDS + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-3"},
        {"Range": "bytes=100000-"},
        {"If-None-Match": "*"},
        {"If-Match": '"x"'},
        {"If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"},
        {"If-Range": '"x"', "Range": "bytes=0-3"},
    ],
    ids=repr,
)
async def test_ranges_and_conditions_do_not_apply_to_streams(visit, headers):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "word"

    middleware = ("django.middleware.http.ConditionalGetMiddleware",)
    async with visit(View.as_view(), headers=headers, middleware=middleware) as stream:
        assert stream.status_code == 200
        assert {"ETag", "Last-Modified", "Content-Range", "Accept-Ranges"}.isdisjoint(stream.headers)
        assert await stream.body() == b"data: word\n\n"


@pytest.mark.parametrize("options", [{}, {"end_event": "[DONE]"}, {"finite": True}], ids=repr)
async def test_a_head_request_neither_starts_the_source_nor_sends_the_end(visit, options):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run()

    async with visit(View.as_view(**options), method="head") as stream:
        assert (stream.status_code, await stream.body()) == (200, b"")
    assert not source.started
