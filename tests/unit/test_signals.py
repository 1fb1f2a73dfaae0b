"""Each stream is opened once and closed once, with the true reason and what it sent."""

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


class Ledger:
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
def ledger():
    ledger = Ledger()
    stream_opened.connect(ledger.open)
    stream_closed.connect(ledger.close)
    yield ledger
    stream_opened.disconnect(ledger.open)
    stream_closed.disconnect(ledger.close)


def view_of(source, **options):
    async def get(self, request):
        return source()

    return type("View", (AsyncSSEAPIView,), {"get": get, **options}).as_view()


async def failing():
    yield "a"
    raise ValueError


A = len(b"data: a\n\n")


async def test_completed(visit, ledger):
    async with visit(view_of(Recorder("a", "b").run)) as stream:
        await stream.body()
    assert ledger.ends == [["completed", 2, 2 * A]]


async def test_a_plain_response_is_opened_when_its_body_is_read(visit, ledger):
    async def view(request):
        return EventStreamResponse(Recorder("a").run(), retry=5)

    async with visit(view, served=True) as stream:
        body = await stream.body()
    assert ledger.ends == [["completed", 1, len(body)]]


async def test_disconnected(visit, ledger):
    async with visit(view_of(Recorder("a").run_for_ever)) as stream:
        await stream.next()
        assert len(open_streams) == 1
    assert ledger.ends == [["disconnected", 1, A]]
    assert len(open_streams) == 0


async def test_disconnected_before_all_was_read(visit, ledger):
    big = b"x" * 60_000
    async with visit(view_of(Recorder(*[big] * 10).run)) as stream:
        await stream.next_chunk()
    [[reason, *_]] = ledger.ends
    assert reason == "disconnected"


async def test_error(visit, ledger):
    async with visit(view_of(failing)) as stream:
        body = await stream.body()
    assert ledger.ends == [["error", 1, len(body)]]


async def test_expired(visit, ledger):
    async with visit(view_of(Recorder("a").run_for_ever, max_duration=0.01)) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert ledger.ends == [["expired", 1, A]]


async def test_timeout_of_a_client_that_takes_nothing(visit, ledger):
    source = Recorder(*[b"x" * 60_000] * 100)
    closed = asyncio.Event()
    stream_closed.connect(lambda **kwargs: closed.set(), weak=False, dispatch_uid="closed")
    try:
        async with visit(view_of(source.run, send_timeout=0.01)):
            await closed.wait()
    except asyncio.CancelledError:
        pass  # Django 6.1 lets the cancellation reach the server
    finally:
        stream_closed.disconnect(dispatch_uid="closed")
    [[reason, *_]] = ledger.ends
    assert reason == "timeout"
    assert source.closed


async def test_shutdown_ends_the_stream_with_a_retry(visit, ledger, settings):
    settings.ADRF_SSE = {"SHUTDOWN_RETRY_SPREAD": (7, 7)}
    source = Recorder("a")
    async with visit(view_of(source.run_for_ever)) as stream:
        await stream.next()
        ledger.opened[0].shut_down()
        ledger.opened[0].shut_down()
        assert await stream.body() == b"data: a\n\nretry: 7\n\n"
    assert ledger.ends == [["shutdown", 1, A + len(b"retry: 7\n\n")]]
    assert source.closed


async def test_what_is_no_stream_sends_no_signal(visit, ledger):
    async def refused():
        raise NotFound
        yield

    async with visit(view_of(refused)) as stream:
        assert stream.status_code == 404
    async with visit(view_of(Recorder("a").run), method="head") as stream:
        await stream.body()
    assert ledger.ends == []


@pytest.mark.django_db(transaction=True)
async def test_a_receiver_may_use_the_orm_and_leaves_no_thread_behind(visit):
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
