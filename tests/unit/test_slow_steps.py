"""Tests of the warning that a source blocks the event loop."""

import asyncio
import logging
import threading
from inspect import getsourcelines

import pytest

from adrf_sse.decorators import event_stream
from adrf_sse.streams import slow_steps
from adrf_sse.streams.slow_steps import StepWatch

PATIENCE = 30
"""Seconds after which a broken test ends."""


@pytest.fixture
def watch(monkeypatch):
    """Replace the watch by one whose thread looks so rarely that only the test looks."""
    watch = StepWatch(interval=PATIENCE)
    monkeypatch.setattr(slow_steps, "step_watch", watch)
    return watch


class Warnings(logging.Handler):
    """Collects warnings. ``arrived`` is set when ``records`` contains the first one."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.records = []
        self.arrived = threading.Event()

    def emit(self, record):
        self.records.append(record)
        self.arrived.set()


@pytest.fixture
def warnings():
    """Collect the warnings of the logger ``adrf_sse``."""
    handler = Warnings()
    logging.getLogger("adrf_sse").addHandler(handler)
    yield handler
    logging.getLogger("adrf_sse").removeHandler(handler)


def look(times):
    """Look at the steps, as the thread of the watch does, while the calling step runs."""
    for _ in range(times):
        slow_steps.step_watch.look()


@event_stream
async def blocking(request):
    for times in (2, 2):
        yield "a"
        await asyncio.sleep(0)
        look(times)


@event_stream
async def blocking_elsewhere(request):
    yield "a"
    look(2)
    yield "b"
    look(2)


@event_stream
async def quick(request):
    look(1)
    for _ in range(3):
        await asyncio.sleep(0)
        look(1)
        yield "a"
        look(1)


def line_of(view, text, number=0):
    """Return the number of the line of a view's function that contains a text."""
    lines, first = getsourcelines(view.cls.get.event_stream_function)
    return [first + index for index, line in enumerate(lines) if text in line][number]


async def test_a_call_that_blocks_is_found_while_it_blocks(visit, warnings, settings):
    settings.DEBUG = True
    arrived = warnings.arrived

    @event_stream
    async def sleepy(request):
        yield "a"
        assert arrived.wait(PATIENCE)
        yield "b"

    async with visit(sleepy) as stream:
        assert await stream.body() == b"data: a\n\ndata: b\n\n"
    [record] = warnings.records
    assert record.levelname == "WARNING"
    assert record.place.startswith(
        f"{__file__}, line {line_of(sleepy, 'arrived.wait')}, in sleepy: assert arrived.wait(PATIENCE) (in "
    )
    assert "blocks the event loop at" in record.getMessage()


@pytest.mark.usefixtures("watch")
async def test_each_place_that_blocks_is_logged_once(visit, warnings, settings):
    settings.DEBUG = True
    for _ in range(2):
        async with visit(blocking) as stream:
            await stream.body()
    [record] = warnings.records
    assert record.place.startswith(f"{__file__}, line {line_of(blocking, 'look(times)')}, in blocking: look(times) (in")
    assert record.view == f"{__name__}.blocking"
    assert record.getMessage().startswith(
        f"The source blocking of the view {__name__}.blocking blocks the event loop at {__file__}, line "
    )
    async with visit(blocking_elsewhere) as stream:
        await stream.body()
    lines = [line_of(blocking_elsewhere, "look(2)", number) for number in (0, 1)]
    assert [record.place.split(", ")[1] for record in warnings.records[1:]] == [f"line {line}" for line in lines]


@pytest.mark.usefixtures("watch")
async def test_a_source_that_does_not_block_is_not_logged(visit, warnings, settings):
    settings.DEBUG = True
    async with visit(quick) as stream:
        assert await stream.body() == b"data: a\n\n" * 3
    assert warnings.records == []


@pytest.mark.usefixtures("watch")
async def test_nothing_is_watched_without_debug(visit, warnings, settings):
    async with visit(blocking) as stream:
        await stream.body()
    assert warnings.records == []


class Counted:
    """An iterator that is not a generator, and whose awaitable is not a coroutine."""

    left = 2

    def __aiter__(self):
        return self

    def __anext__(self):
        return self

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return self.left


@event_stream
async def counted(request):
    return Counted()


async def test_a_watched_source_yields_and_ends_as_others_do(visit, settings):
    settings.DEBUG = True
    async with visit(counted) as stream:
        assert await stream.body() == b"data: 1\n\ndata: 0\n\n"


async def test_a_watched_source_is_cancelled_and_closed(visit, settings):
    settings.DEBUG = True
    seen = []

    @event_stream
    async def endless(request):
        try:
            async with asyncio.timeout(None), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
                yield "a"
                await asyncio.Event().wait()
        except asyncio.CancelledError as exc:
            seen.append(exc)
            raise
        finally:
            seen.append(asyncio.current_task())

    async with visit(endless) as stream:
        await stream.next()
    assert [type(item) for item in seen] == [asyncio.CancelledError, asyncio.Task]


async def test_a_watched_source_that_is_paused_is_cancelled_where_it_yielded(visit, settings):
    settings.DEBUG = True
    seen = []

    @event_stream
    async def large(request):
        try:
            while True:
                yield "a" * 40_000
        except asyncio.CancelledError:
            seen.append("cancelled")
            yield "last"

    async with visit(large) as stream:
        await stream.next()
    assert seen == ["cancelled"]


def test_the_thread_ends_when_there_are_no_steps():
    watch = StepWatch(interval=0.0001)
    watch.enter(object())
    thread = watch._thread
    watch.leave()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    watch.enter(object())
    assert watch._thread not in (None, thread)
    watch.leave()
