"""Tests of frequent mistakes: each has a message that says what to do."""

import logging

import pytest

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import JSONLinesRenderer
from adrf_sse.views import AsyncSSEAPIView


@pytest.fixture
def warnings(caplog):
    """Return a function that returns the messages of the logger ``adrf_sse`` at level ``WARNING`` or above."""
    with caplog.at_level(logging.WARNING, "adrf_sse"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == "adrf_sse"]


# A frame as text


@event_stream
async def framed(request):
    for text in ("data: 1\n\n", "event: a\r\ndata: 2\r\n\r\n", ": comment\n\n"):
        yield text


class FramedLines(AsyncSSEAPIView):
    renderer_classes = [JSONLinesRenderer]

    async def get(self, request):
        yield "data: 1\n\n"


async def test_text_that_is_a_frame_is_sent_as_data_and_logged_once_for_each_stream(visit, warnings):
    for number in (1, 2):
        async with visit(framed) as stream:
            assert (await stream.body()).startswith(b"data: data: 1\ndata:\ndata:\n\ndata: event: a\n")
        assert len(warnings()) == number
    assert warnings()[0] == (
        "GET /: the source framed of the view tests.unit.test_wrong_turns.framed yielded a str that is already a "
        "frame, and it was sent as data: data: 1\\n\\n. Yield the data alone, or yield the frame as bytes."
    )


async def test_text_that_is_a_frame_is_logged_in_every_format(visit, warnings):
    async with visit(FramedLines.as_view(), headers={"Accept": "application/jsonl"}) as stream:
        assert await stream.body() == b'{"data":"data: 1\\n\\n"}\n'
    assert len(warnings()) == 1


@event_stream
async def paragraphs(request):
    for text in ("Hello:\n\n", "data: 1", "\n\n", "data: 1\n", "database: 1\n\n", "", "see data: 1\n\n"):
        yield text


async def test_other_text_is_not_logged(visit, warnings):
    async with visit(paragraphs) as stream:
        await stream.body()
    assert warnings() == []
