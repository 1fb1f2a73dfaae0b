"""``produce_sync()``, and ``produce()`` in ``async_to_sync()``: the thread that waits, and what interrupts it."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from adrf_sse.runs import follow, produce, produce_sync, run_state, stop_run
from adrf_sse.runs.begin import Start
from adrf_sse.streams.sync_sources import count_sync_sources
from tests.support.redis_server import use_redis

pytestmark = pytest.mark.usefixtures("broker")

TIMEOUT = 30
"""Seconds to wait for another thread."""


@async_to_sync
async def queued():
    """Create a run that waits for a worker, and return its ID."""
    start = Start()
    await start.create(queued=True)
    return start.run_id


@async_to_sync
async def events_of(run_id):
    async with asyncio.timeout(TIMEOUT):
        return [(event.event, event.data) async for event in follow(run_id)]


@async_to_sync
async def first_event_of(run_id):
    async with asyncio.timeout(TIMEOUT), follow(run_id) as events:
        return await anext(events)


def status_of(run_id):
    return async_to_sync(run_state)(run_id)["status"]


class Interrupted(Exception):
    """Raised in the main thread by a signal, as task queues do for their time limits."""


@contextmanager
def interruptible():
    """Let ``interrupt_main_thread()`` raise ``Interrupted`` where the main thread waits."""

    def interrupt(number, frame):
        # Elsewhere, as in the callback of a future, the standard library would swallow the exception.
        if frame.f_code.co_name == "wait":
            interrupted.set()
            raise Interrupted
        interrupt_soon()

    def interrupt_soon():
        threading.Timer(0.001, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1]).start()

    interrupted = threading.Event()
    before = signal.signal(signal.SIGUSR1, interrupt)

    def interrupt_main_thread():
        interrupt_soon()
        assert interrupted.wait(TIMEOUT)

    try:
        yield interrupt_main_thread
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_synchronous_source_runs_in_the_thread_that_waits():
    threads = []

    def source():
        threads.append(threading.current_thread())
        yield "a"
        threads.append(threading.current_thread())

    run_id = queued()
    assert produce_sync(run_id, source()) == "completed"
    assert threads == [threading.current_thread()] * 2
    assert events_of(run_id) == [(None, "a"), ("end", {"status": "completed"})]


def test_synchronous_code_of_an_asynchronous_source_runs_in_the_thread_that_waits():
    threads = []

    async def source():
        threads.append(await sync_to_async(threading.current_thread)())
        yield "a"

    assert produce_sync(queued(), source()) == "completed"
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("produce_it", [produce_sync, async_to_sync(produce)])
def test_a_stopped_source_that_blocks_is_closed_in_its_thread_as_soon_as_it_can_be(settings, produce_it):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CLEANUP_TIMEOUT": 0.01}
    blocks, go_on, closed_in = threading.Event(), threading.Event(), []

    def source():
        try:
            yield "a"
            blocks.set()
            go_on.wait(TIMEOUT)
            yield "late"
        finally:
            closed_in.append(threading.current_thread())

    run_id, before = queued(), count_sync_sources()
    with ThreadPoolExecutor(1) as executor:
        worker = executor.submit(threading.current_thread).result()
        result = executor.submit(produce_it, run_id, source())
        assert blocks.wait(TIMEOUT)
        first_event_of(run_id)
        async_to_sync(stop_run)(run_id)
        assert events_of(run_id) == [(None, "a"), ("end", {"status": "stopped"})]
        assert not closed_in
        go_on.set()
        assert result.result(TIMEOUT) == "stopped"
    assert closed_in == [worker]
    assert count_sync_sources() == before
    assert events_of(run_id) == [(None, "a"), ("end", {"status": "stopped"})]


def test_an_interruption_of_the_thread_ends_the_run_and_closes_an_asynchronous_source():
    closed = threading.Event()

    async def source():
        try:
            yield "a"
            async with follow(run_id) as events:
                await anext(events)
            await asyncio.to_thread(interrupt_main_thread)
            await asyncio.Event().wait()
        finally:
            closed.set()

    run_id = queued()
    with interruptible() as interrupt_main_thread, pytest.raises(Interrupted):
        produce_sync(run_id, source())
    assert closed.is_set()
    assert status_of(run_id) == "lost"
    assert [name for name, _ in events_of(run_id)] == [None, "error", "end"]


def test_an_interruption_between_the_items_of_a_synchronous_source_closes_it_in_its_thread():
    closed_in = []

    class Interrupting(date):
        def isoformat(self):  # called on the event loop, when the event is encoded
            interrupt_main_thread()
            return super().isoformat()

    def source():
        try:
            yield Interrupting(2030, 1, 1)
            yield "late"
        finally:
            closed_in.append(threading.current_thread())

    run_id, before = queued(), count_sync_sources()
    with interruptible() as interrupt_main_thread, pytest.raises(Interrupted):
        produce_sync(run_id, source())
    assert closed_in == [threading.current_thread()]
    assert count_sync_sources() == before
    assert status_of(run_id) == "lost"


def test_an_interruption_inside_of_a_synchronous_source_is_its_error():
    def source():
        yield "a"
        raise Interrupted

    run_id = queued()
    with pytest.raises(Interrupted):
        produce_sync(run_id, source())
    assert status_of(run_id) == "failed"


def test_ctrl_c_inside_of_a_synchronous_source_ends_the_run_and_leaves_nothing_open():
    def source():
        yield "a"
        raise KeyboardInterrupt

    for _ in range(20):  # an open connection, which some of the runs would leave, is a warning, and so an error
        run_id = queued()
        with pytest.raises(KeyboardInterrupt):
            produce_sync(run_id, source())
        assert status_of(run_id) == "lost"


async def test_a_thread_with_an_event_loop_is_refused():
    async def source():
        return iter("a")

    with pytest.raises(RuntimeError, match=r"produce_sync\(\) must be called in a thread without an event loop"):
        produce_sync("unknown", source())


def test_a_worker_that_has_produced_many_runs_keeps_nothing_of_them_open(settings, shared_redis, redis_url):
    use_redis(settings, redis_url)
    counts = []
    for _ in range(10):
        run_id = queued()
        assert produce_sync(run_id, iter("ab")) == async_to_sync(run_state)(run_id)["status"] == "completed"
        counts.append((len(shared_redis.client.client_list()), threading.active_count()))
    while counts[-1] > counts[0]:  # Redis closes its side a moment later
        counts.append((len(shared_redis.client.client_list()), threading.active_count()))
