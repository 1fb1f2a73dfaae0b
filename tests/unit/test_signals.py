"""Tests of the signals: each stream is opened and closed once, with the reason and the events and bytes it sent."""

import asyncio
import threading

import pytest
from django.contrib.auth import get_user_model
from rest_framework.exceptions import NotFound

from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder


class Recording:
    def __init__(self):
        self.opened, self.closed = [], []

    def open(self, sender, stream, **kwargs):
        self.opened.append(stream)

    def close(self, sender, stream, reason, duration, events, bytes, **kwargs):
        assert duration >= 0
        self.closed.append((stream, reason, events, bytes))

    @property
    def ends(self):
        assert [stream for stream, *_ in self.closed] == self.opened
        return [end for _, *end in self.closed]


@pytest.fixture
def recording():
    recording = Recording()
    stream_opened.connect(recording.open)
    stream_closed.connect(recording.close)
    yield recording
    stream_opened.disconnect(recording.open)
    stream_closed.disconnect(recording.close)


def view_of(source, **options):
    async def get(self, request):
        return source()

    return type("View", (AsyncSSEAPIView,), {"get": get, **options}).as_view()


async def failing():
    yield "a"
    raise ValueError


A = len(b"data: a\n\n")


async def test_the_reason_is_completed_when_the_source_ends(visit, recording):
    async with visit(view_of(Recorder("a", "b").run)) as stream:
        await stream.body()
    assert recording.ends == [["completed", 2, 2 * A]]


async def test_the_stream_of_a_plain_view_is_opened_when_its_body_is_read(visit, recording):
    async def view(request):
        return EventStreamResponse(Recorder("a").run(), retry=5)

    async with visit(view, served=True) as stream:
        body = await stream.body()
    assert recording.ends == [["completed", 1, len(body)]]


async def test_the_reason_is_disconnected_when_the_client_disconnects(visit, recording):
    async with visit(view_of(Recorder("a").run_for_ever)) as stream:
        await stream.next()
        assert len(open_streams) == 1
    assert recording.ends == [["disconnected", 1, A]]
    assert len(open_streams) == 0


async def test_the_reason_is_disconnected_if_the_client_has_not_read_all_events(visit, recording):
    big = "x" * 60_000
    async with visit(view_of(Recorder(*[big] * 10).run)) as stream:
        await stream.next_chunk()
    [[reason, *_]] = recording.ends
    assert reason == "disconnected"


async def test_the_reason_is_error_when_the_source_fails(visit, recording):
    async with visit(view_of(failing)) as stream:
        body = await stream.body()
    assert recording.ends == [["error", 1, len(body)]]


async def test_the_reason_is_expired_after_max_duration(visit, recording):
    async with visit(view_of(Recorder("a").run_for_ever, max_duration=0.01)) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert recording.ends == [["expired", 1, A]]


async def test_the_reason_is_timeout_if_the_client_does_not_read(visit, recording):
    source = Recorder(*["x" * 60_000] * 100)
    closed = asyncio.Event()
    stream_closed.connect(lambda **kwargs: closed.set(), weak=False, dispatch_uid="closed")
    try:
        async with visit(view_of(source.run, send_timeout=0.01)):
            await closed.wait()
    except asyncio.CancelledError:
        pass  # Django 6.1 does not catch the cancellation
    finally:
        stream_closed.disconnect(dispatch_uid="closed")
    [[reason, *_]] = recording.ends
    assert reason == "timeout"
    assert source.closed


async def test_shutdown_ends_the_stream_with_a_retry(visit, recording, settings):
    settings.ADRF_SSE = {"SHUTDOWN_RETRY_SPREAD": (7, 7)}
    source = Recorder("a")
    async with visit(view_of(source.run_for_ever)) as stream:
        await stream.next()
        recording.opened[0].shut_down()
        recording.opened[0].shut_down()
        assert await stream.body() == b"data: a\n\nretry: 7\n"
    assert recording.ends == [["shutdown", 1, A + len(b"retry: 7\n")]]
    assert source.closed


async def test_other_responses_send_no_signal(visit, recording):
    async def refused():
        raise NotFound
        yield

    async with visit(view_of(refused)) as stream:
        assert stream.status_code == 404
    async with visit(view_of(Recorder("a").run), method="head") as stream:
        await stream.body()
    assert recording.ends == []


@pytest.mark.django_db(transaction=True)
async def test_a_receiver_can_use_the_orm_and_leaves_no_thread_behind(visit):
    counts, threads = [], set()

    def count(**kwargs):
        threads.add(threading.current_thread().name)
        counts.append(get_user_model().objects.count())

    async def view(request):
        return EventStreamResponse(Recorder("a").run())

    stream_opened.connect(count)
    stream_closed.connect(count)
    try:
        async with visit(view, served=True) as stream:
            await stream.body()
    finally:
        stream_opened.disconnect(count)
        stream_closed.disconnect(count)
    assert counts == [0, 0]
    assert threads == {"adrf_sse streams"}
