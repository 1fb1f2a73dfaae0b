"""Every frame that ends in an empty line has data: many clients hand each empty line to the application."""

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial

import pytest
from adrf.views import APIView
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.response import Response

from adrf_sse import ServerSentEvent
from adrf_sse.channels import apublish, subscribe
from adrf_sse.decorators import event_stream
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams import reauthorization
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream
from adrf_sse.testing import EventParser
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView


class StrictReader:
    """Read a stream as a client that takes each empty line for an event."""

    def __init__(self):
        self.events = []
        self._parser = EventParser()
        self._lines = []
        self._rest = b""

    def feed(self, chunk):
        self.events += self._parser.feed(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line:
                self._lines.append(line)
                continue
            assert any(field.startswith(b"data:") for field in self._lines), f"a frame without data: {self._lines}"
            self._lines = []

    def end(self):
        """Return the names of the events; the lines after the last one are no part of a frame."""
        assert not self._rest
        assert all(line.startswith((b":", b"retry: ", b"id: ")) for line in self._lines), self._lines
        return [event.event for event in self.events]


async def bare():
    """Yield everything that has no data of its own."""
    yield ServerSentEvent(retry=5)
    yield ServerSentEvent(id=1)
    yield ServerSentEvent(comment="c")
    yield ServerSentEvent(event="ping")
    yield b":\n"
    yield "word"
    yield ServerSentEvent(id=2, retry=7)


async def empty():
    return
    yield


async def failing():
    yield "word"
    raise NotFound


def sync_bare():
    yield ServerSentEvent(retry=5)
    yield "word"
    yield ServerSentEvent(id=2)


@asynccontextmanager
async def managed():
    yield bare()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (bare, ["ping", None]),
        (managed, ["ping", None]),
        (sync_bare, [None]),
        (empty, []),
        (failing, [None, "error"]),
    ],
)
@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("kind", ["view", "function", "response", "renderer"])
async def test_every_kind_of_stream_from_its_start_to_its_end(visit, source, names, finite, kind):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source()

    class Stock(APIView):
        renderer_classes = [EventStreamRenderer]

        async def get(self, request):
            return Response(source())

    async def plain(request):
        return EventStreamResponse(source(), retry=3, finite=finite)

    @event_stream(retry=3, finite=finite)
    async def function(request):
        return source()

    given = {"retry": 3, "finite": finite}
    views = {
        "view": View.as_view(**given),
        "function": function,
        "response": plain,
        "renderer": type("Stock", (Stock,), given).as_view(),
    }
    async with visit(views[kind]) as stream:
        reader = StrictReader()
        reader.feed(await stream.body())
    assert reader.end() == [*names, *(["end"] if finite and "error" not in names else [])]


async def endless():
    yield "word"
    await asyncio.Event().wait()


@pytest.mark.parametrize("end", ["expire", "shut_down", "revoke"])
@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("source", [endless, partial(subscribe, "news")])
async def test_a_stream_that_is_ended(end, finite, source):
    stream = EventStream(source(), options({"retry": 3, "finite": finite}))
    reader = StrictReader()
    while not reader.events:
        reader.feed(await anext(stream))
    getattr(stream, end)()
    async for chunk in stream:
        reader.feed(chunk)
    assert reader.end() in ([None], ["ready"])


async def read(stream):
    """Return the names of the events of a whole stream."""
    reader = StrictReader()
    async for chunk in stream:
        reader.feed(chunk)
    return reader.end()


@pytest.mark.parametrize("finite", [False, True])
async def test_a_stream_whose_subscriber_is_too_far_behind(finite):
    async def lagging():
        yield "word"
        raise SubscriberLagged(7)

    assert await read(EventStream(lagging(), options({"retry": 3, "finite": finite}))) == [None]


@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize(("error", "last"), [(PermissionDenied, []), (OSError, ["error"])])
async def test_a_stream_whose_client_cannot_be_checked(monkeypatch, error, last, finite):
    async def check():
        raise error

    monkeypatch.setattr(reauthorization, "MAX_FAILURES", 1)
    stream = EventStream(endless(), options({"retry": 3, "finite": finite}))
    stream.reauthorize(0.001, check)
    assert await read(stream) == [None, *last]


async def test_a_stream_that_is_silent():
    stream = EventStream(endless(), options({"heartbeat": 0.01}))
    reader, chunks = StrictReader(), []
    while chunks.count(b":\n") < 3:
        chunks.append(await anext(stream))
        reader.feed(chunks[-1])
    await stream.aclose()
    assert reader.end() == [None]


class News(ChannelStreamView):
    retry = 3

    def get_channels(self):
        return ["frames"]


class Empty(News):
    def get_channels(self):
        return ["no-frames"]


async def test_a_stream_of_channels_that_resumes_and_is_reset(visit):
    first = await apublish("frames", "a")
    await apublish("frames", "b", event="story")
    for last_id, names in ((None, ["ready"]), (first, ["story", "ready"]), (5, ["reset", None, "story", "ready"])):
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        async with visit(News.as_view(), headers=headers) as stream:
            reader = StrictReader()
            while len(reader.events) < len(names):
                reader.feed(await stream.next_chunk())
            assert reader.end() == names


async def test_the_frames_of_the_package_have_json_data(visit):
    async with visit(Empty.as_view(), headers={"Last-Event-ID": "5"}) as stream:
        for event in await stream.take(2):
            assert event.event in ("reset", "ready")
            assert isinstance(json.loads(event.data), dict)


def test_a_stream_under_wsgi():
    reader = StrictReader()
    for chunk in EventStreamResponse(bare(), retry=3, finite=True):
        reader.feed(chunk)
    assert reader.end() == ["ping", None, "end"]
