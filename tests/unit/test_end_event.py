"""Tests of the end of streams: ``end_event``, and the ID of the end."""

import json
from dataclasses import dataclass

import pytest
from rest_framework.renderers import JSONRenderer

from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.options import options
from adrf_sse.testing import EventParser
from adrf_sse.views import AsyncSSEAPIView

JSONL = {"Accept": "application/jsonl"}


@dataclass
class Total:
    tokens: int


class Words(AsyncSSEAPIView):
    async def get(self, request):
        yield "word"

    post = get


ENDS = [
    ("[DONE]", b"data: [DONE]\n\n"),
    (("complete", ""), b"event: complete\ndata:\n\n"),
    (("complete", {"n": 1}, 7), b'id: 7\nevent: complete\ndata: {"n":1}\n\n'),
    ({"n": 1}, b'data: {"n":1}\n\n'),
    (True, b"data: true\n\n"),
    (1, b"data: 1\n\n"),
    (Total(7), b'data: {"tokens":7}\n\n'),
    (ServerSentEvent(event="stop"), b"event: stop\ndata:\n\n"),
    (b"event: a\ndata: b\n\n", b"event: a\ndata: b\n\n"),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\r\n\r\ndata: b\r\n\r\n"),
]


@pytest.mark.parametrize(("end_event", "frame"), ENDS, ids=lambda value: repr(value)[:40])
async def test_the_end_event_follows_the_last_event(visit, end_event, frame):
    view = Words.as_view(end_event=end_event)
    for method in ("get", "post"):
        async with visit(view, method=method) as stream:
            assert await stream.body() == b"data: word\n\n" + frame


WITH_ID = [
    ("[DONE]", b"id: adrf-sse-end\ndata: [DONE]\n\n"),
    (("complete", ""), b"id: adrf-sse-end\nevent: complete\ndata:\n\n"),
    (("complete", {"n": 1}, 7), b'id: adrf-sse-end\nevent: complete\ndata: {"n":1}\n\n'),
    ({"n": 1}, b'id: adrf-sse-end\ndata: {"n":1}\n\n'),
    (ServerSentEvent("a", id=3, comment="c"), b": c\nid: adrf-sse-end\ndata: a\n\n"),
    (b"id: 3\ndata: b\n\n", b"id: 3\ndata: b\nid: adrf-sse-end\n\n"),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\r\n\r\ndata: b\r\nid: adrf-sse-end\r\n\r\n"),
    (b"data: a\r\r", b"data: a\rid: adrf-sse-end\r\r"),
]


@pytest.mark.parametrize(("end_event", "frame"), WITH_ID, ids=lambda value: repr(value)[:40])
async def test_the_end_event_of_a_finite_stream_has_the_id_of_the_end_in_answers_to_get_only(visit, end_event, frame):
    view = Words.as_view(end_event=end_event, finite=True)
    async with visit(view) as stream:
        body = await stream.body()
    assert body == b"data: word\n\n" + frame
    assert EventParser().feed(body)[-1].id == "adrf-sse-end"
    async with visit(view, method="post") as stream:
        assert b"adrf-sse-end" not in await stream.body()


async def test_a_finite_stream_without_an_end_event_ends_with_the_event_end_in_answers_to_get_only(visit):
    view = Words.as_view(finite=True)
    async with visit(view) as stream:
        assert await stream.body() == b"data: word\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"
    async with visit(view, method="post") as stream:
        assert await stream.body() == b"data: word\n\n"


async def test_a_stream_that_fails_has_no_end_event(visit):
    class View(AsyncSSEAPIView):
        end_event = "[DONE]"

        async def get(self, request):
            yield "word"
            raise ValueError

    async with visit(View.as_view()) as stream:
        assert b"[DONE]" not in await stream.body()


async def test_the_end_event_is_a_line_of_json_lines_and_no_item_of_a_list(visit):
    renderers = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]
    view = Words.as_view(end_event="[DONE]", finite=True, renderer_classes=renderers)
    async with visit(view, headers=JSONL) as stream:
        assert await stream.body() == b'{"data":"word"}\n{"id":"adrf-sse-end","data":"[DONE]"}\n'
    async with visit(view, headers={"Accept": "application/json"}) as stream:
        assert json.loads(await stream.body()) == [{"data": "word"}]


async def test_lines_without_names_have_no_line_for_the_packages_own_end(visit):
    bare = type("Bare", (JSONLinesRenderer,), {"envelope": False})
    async with visit(Words.as_view(finite=True, renderer_classes=[bare])) as stream:
        assert await stream.body() == b'"word"\n'
    async with visit(Words.as_view(finite=True, end_event="[DONE]", renderer_classes=[bare])) as stream:
        assert await stream.body() == b'"word"\n"[DONE]"\n'


async def test_functions_and_responses_have_an_end_event(visit):
    @event_stream(end_event=("complete", ""))
    async def function(request):
        yield "word"

    async def plain(request):
        return EventStreamResponse(words(), end_event=("complete", ""))

    async def words():
        yield "word"

    for view in (function, plain):
        async with visit(view) as stream:
            assert await stream.body() == b"data: word\n\nevent: complete\ndata:\n\n"


@pytest.mark.parametrize(
    ("end_event", "error", "message"),
    [
        ((), TypeError, "end_event must be an event: a tuple must be (event, data) or"),
        (("a\nb", 1), ValueError, "end_event must be an event: event must be a single line, got a line feed"),
        (b"[DONE]", ValueError, "end_event must be an event: bytes must be complete frames"),
        (b"", ValueError, "end_event must be an event that has data, got b''. Give it data, or a name."),
        (b": comment\n\n", ValueError, "end_event must be an event that has data, got b': comment\\n\\n'. "),
        (ServerSentEvent(retry=5), ValueError, "end_event must be an event that has data, got ServerSentEve"),
    ],
    ids=repr,
)
def test_an_end_event_that_can_not_be_an_event_is_refused(end_event, error, message):
    with pytest.raises(error) as caught:
        options({"end_event": end_event})
    assert str(caught.value).startswith(message)
    with pytest.raises(error):
        type("View", (AsyncSSEAPIView,), {"end_event": end_event})


async def test_an_end_event_that_can_not_be_encoded_is_an_error_before_the_stream_begins(visit, caplog):
    async with visit(Words.as_view(end_event=("complete", object()))) as stream:
        assert stream.status_code == 500
    assert "TypeError: end_event must be an event: data must be text or something" in caplog.text


def test_equal_end_events_that_are_not_the_same_are_not_mistaken_for_each_other():
    assert options({"end_event": True}).end_event is True
    assert type(options({"end_event": 1}).end_event) is int
    assert options({"end_event": ("a", True)}).end_event[1] is True
    assert type(options({"end_event": ("a", 1)}).end_event[1]) is int
