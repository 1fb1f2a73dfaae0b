"""The runs that this process produces: their number, how other processes stop them, and what a shutdown does."""

import asyncio
import atexit
from collections import Counter
from concurrent.futures import wait
from typing import Any

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent, message_body
from adrf_sse.brokers.outages import outage_of_calls
from adrf_sse.brokers.runs import Run, Status
from adrf_sse.channels.channel import CONTROL_CHANNEL
from adrf_sse.channels.control import control
from adrf_sse.exceptions import BrokerUnavailable, RunNotFound, ServerStopping, TooManyRuns
from adrf_sse.logs import about, logger
from adrf_sse.runs.producer import Producer
from adrf_sse.runs.reports import report_end, report_start
from adrf_sse.runtime.loops import after_fork
from adrf_sse.settings import sse_settings
from adrf_sse.streams.limits import Limit, Slot, stream_counts
from adrf_sse.streams.shutdown import SHUTDOWN_CLEANUP, shutdown

STOP_EVENT = "stop"

_COUNT = "runs"

_stopping = outage_of_calls("stopping a run")


def reserve_run() -> Slot:
    """Count one more run of this process. Raises ``TooManyRuns``, or ``ServerStopping`` during a shutdown."""
    if shutdown.has_begun:
        raise ServerStopping
    return stream_counts.take([Limit(_COUNT, sse_settings.MAX_RUNS, TooManyRuns)])


def count_runs() -> int:
    """Return how many runs this process produces."""
    return stream_counts.count(_COUNT)


class LocalRuns:
    """Hold the producers of this process while they run."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the producers. A forked process must do so, because it has none of its parent's loops."""
        self._producers: dict[str, Producer] = {}
        self._by_loop: Counter[asyncio.AbstractEventLoop] = Counter()
        self._graces: list[asyncio.Task[Any]] = []  # each ends when the runs of a loop have had their time

    def __len__(self) -> int:
        return len(self._producers)

    def add(self, producer: Producer) -> None:
        """Add a producer that begins in the running loop."""
        loop = asyncio.get_running_loop()
        self._producers[producer.run_id] = producer
        self._by_loop[loop] += 1
        if self._by_loop[loop] == 1:
            control.first_started(loop)

    def discard(self, producer: Producer) -> None:
        """Remove a producer that has ended. Called in its loop."""
        loop = asyncio.get_running_loop()
        if self._producers.get(producer.run_id) is producer:
            del self._producers[producer.run_id]
        self._by_loop[loop] -= 1
        if not self._by_loop[loop]:
            del self._by_loop[loop]
            control.last_ended(loop)

    def check(self, run_id: str) -> None:
        """Let the producer of a run ask the broker if it was stopped. May be called in any thread."""
        producer = self._producers.get(run_id)
        if producer is not None and producer.loop is not None and not producer.loop.is_closed():
            producer.loop.call_soon_threadsafe(producer.check)

    async def shut_down(self) -> None:
        """Give the runs of this loop ``RUN_GRACE`` seconds to end. Those that don't are lost."""
        loop = asyncio.get_running_loop()
        mine = [each for each in tuple(self._producers.values()) if each.loop is loop and each.task is not None]
        tasks = [each.task for each in mine if each.task is not None]
        if not tasks:
            return
        if sse_settings.RUN_GRACE:
            grace = loop.create_task(asyncio.wait(tasks, timeout=sse_settings.RUN_GRACE))
            self._graces.append(grace)
            try:
                await asyncio.wait([grace])
            finally:
                grace.cancel()
        for task in tasks:
            task.cancel()  # the producer then tells the broker
        await asyncio.wait(tasks, timeout=SHUTDOWN_CLEANUP)

    def end_grace(self) -> bool:
        """Give the runs no more time. Returns whether they had some. Signal handlers call it."""
        graces, self._graces = [each for each in self._graces if not each.done()], []
        for grace in graces:
            grace.get_loop().call_soon_threadsafe(grace.cancel)
        return bool(graces)

    def exit(self) -> None:
        """Shut down the runs of loops in other threads when the process exits, as under WSGI."""
        loops = {each.loop for each in tuple(self._producers.values()) if each.loop is not None}
        ends = [asyncio.run_coroutine_threadsafe(self.shut_down(), loop) for loop in loops if loop.is_running()]
        if ends:  # otherwise, nothing needs the settings, which may be what has ended the process
            wait(ends, timeout=sse_settings.RUN_GRACE + 2 * SHUTDOWN_CLEANUP)


local_runs = LocalRuns()
after_fork(local_runs.reset)
atexit.register(local_runs.exit)


async def produce_here(producer: Producer) -> Status:
    """Produce a run, which counts as one of this process meanwhile."""
    local_runs.add(producer)
    report_start(producer)
    status: Status = "lost"
    try:
        status = await producer.produce()
    finally:
        local_runs.discard(producer)
        report_end(producer, status)
    return status


async def end_run(run_id: str) -> Run:
    """Stop a run, and tell the process that produces it. Raises ``RunNotFound``."""
    broker = get_broker()
    with _stopping:
        result = await broker.runs.end(run_id, "stopped")
    if result is None:
        raise RunNotFound
    run, was_active = result
    if was_active:
        local_runs.check(run_id)
        if not broker.process_local:
            try:
                await broker.apublish_now(CONTROL_CHANNEL, message_body({"id": run_id}, STOP_EVENT))
            except BrokerUnavailable as exc:  # the producer learns of it when it renews its lease
                message = "The producer of the run %s could not be told that the run was stopped: %s"
                logger.warning(message, run_id, exc, extra=about(None))
    return run


def _obey(event: ChannelEvent, loop: asyncio.AbstractEventLoop, *, replayed: bool) -> None:
    """Let a producer learn that its run was stopped."""
    run_id = event.data.get("id") if isinstance(event.data, dict) else None
    if not isinstance(run_id, str):
        raise TypeError(f"id must be the ID of a run, got {run_id!r}.")
    local_runs.check(run_id)


control.on(STOP_EVENT, _obey)
shutdown.on_stop(local_runs.shut_down)
shutdown.on_second_signal(local_runs.end_grace)
