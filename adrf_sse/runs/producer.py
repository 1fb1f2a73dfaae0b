"""The producer of a run: it reads the source to its end, and publishes its events."""

import asyncio
from time import monotonic
from typing import Any

from adrf_sse.brokers.runs import RunStore, Status
from adrf_sse.exceptions import RunTooLarge
from adrf_sse.runs.bodies import BodyEncoder, Endings
from adrf_sse.runs.writer import RunEnded, RunWriter
from adrf_sse.runtime.loops import hold_task
from adrf_sse.settings import sse_settings
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.lifecycle import Lifecycle, Phase
from adrf_sse.streams.options import options
from adrf_sse.streams.pump import Pump, Serialize
from adrf_sse.streams.reports import report_failure

EVENTS_PER_WRITE = 256
"""Events that are published together at most, so that Redis is free for others in between."""


class BodyBuffer(FrameBuffer):
    """Hold the events that the source has yielded, until they are published."""

    __slots__ = ()

    def take_bodies(self, limit: int) -> list[bytes]:
        """Return the first events, at most ``limit``, and let the source continue."""
        self._ready = None
        bodies, self._frames = self._frames[:limit], self._frames[limit:]
        self._size -= sum(map(len, bodies))
        self.make_room()
        return bodies


class Producer(Lifecycle):
    """Run a source as a stream does, and publish its events, those that it yields together with one command.

    The source is paused while a chunk's worth of events waits for the broker. Clients never delay it.
    """

    __slots__ = ("_asks", "_committed", "_endings", "_errors", "_first", "_producing", "_size", "_writer", "begun",
                 "name", "run_id", "task")  # fmt: skip

    def __init__(
        self,
        run_id: str,
        source: Any,
        runs: RunStore,
        encode: BodyEncoder,
        endings: Endings,
        serialize: Serialize | None,
        name: str,
    ) -> None:
        super().__init__(options({}), encode)
        self._pump = Pump(source, self, BodyBuffer(), encode, serialize)
        self.request = endings.request
        self.run_id = run_id
        self.name = name
        """Names the producer in the broker."""
        self.task: asyncio.Task[Status] | None = None
        """Runs the producer, where nothing awaits it."""
        self.begun = monotonic()
        """When it began, by ``monotonic()``."""
        self._writer = RunWriter(runs, run_id, name)
        self._endings = endings
        self._producing: asyncio.Task[Any] | None = None
        self._errors: list[bytes] | None = None  # what reports the error of the source
        self._size = 0
        self._asks = False  # whether to ask the broker now if the run was stopped
        self._committed = False  # whether an error is reported by events, and not raised
        self._first = asyncio.Event()  # set with the first event, or at the end

    async def wait_for_first_event(self, timeout: float) -> None:
        """Wait until the source has yielded, or has ended, at most ``timeout`` seconds.

        If the source raises before, the run is removed, and its error is raised.
        """
        task = self.task
        assert task is not None
        try:
            if timeout and not task.done():
                async with asyncio.timeout(timeout):
                    await self._first.wait()
        except TimeoutError:
            pass
        finally:
            self._committed = self._error is None or self.events > 0
        if self._error is not None and not self._committed:
            await asyncio.wait([task])
            raise self._error

    @property
    def error(self) -> Exception | None:
        """The error that has ended the run."""
        return self._error

    def commit(self) -> None:
        """Report errors by events from now on, also those before the first event."""
        self._committed = True

    async def produce(self) -> Status:
        """Read the source to its end, and return how the run has ended.

        Raises ``RunLost`` if the broker was unavailable for as long as the lease. If the task is cancelled, the run is
        lost, too.
        """
        self._advance(Phase.STARTED)
        self.loop = asyncio.get_running_loop()
        self._producing = asyncio.current_task()
        self._pump.start()
        try:
            return await self._publish_all()
        except RunEnded as end:
            return end.status
        except BaseException:
            await self._writer.give_up()
            raise
        finally:
            await self._close_source()

    async def _close_source(self) -> None:
        self._pump.buffer.clear()
        try:
            if not self._pump.buffer.ended:
                await self._pump.stop(sse_settings.CLEANUP_TIMEOUT)
        finally:  # also if the task is cancelled once more
            if self._pump.task is not None and not self._pump.task.done():
                hold_task(self._pump.task)
            self._first.set()
            self._leave()

    async def wait_closed(self) -> None:
        """Wait until the source is closed, however long a synchronous one runs on after the run has ended."""
        await self._pump.source.wait_closed()

    def check(self) -> None:
        """Ask the broker soon whether the run was stopped. Called in the producer's loop."""
        self._asks = True
        self._pump.buffer.wake_reader()

    async def source_failed(self, error: Exception) -> None:
        """Keep the error of the source, and what reports it."""
        if isinstance(error.__cause__, asyncio.CancelledError) and self._producing and self._producing.cancelling():
            return  # the event loop ends, and has cancelled the source together with the producer
        if self._pump.stopping:
            await report_failure(self, self._pump.source, error, "The source %r failed while it was stopping.")
            return
        self._error = error
        if self.events or self._committed:
            await report_failure(self, self._pump.source, error, "The source %r of a run has failed.")
            self._errors = await self._endings.errors(error, self._pump.source)

    def end_frame(self) -> bytes:
        """Return nothing: the end is published with the status of the run."""
        return b""

    async def _publish_all(self) -> Status:
        buffer = self._pump.buffer
        assert isinstance(buffer, BodyBuffer)
        while True:
            bodies = buffer.take_bodies(EVENTS_PER_WRITE)
            self._size += sum(map(len, bodies))
            if self._size > sse_settings.RUN_MAX_SIZE:
                return await self._fail(RunTooLarge())
            if buffer.ended and not buffer:
                return await self._finish(bodies)
            if bodies:
                self._first.set()
            if bodies or await self._is_due(buffer):
                await self._writer.write(bodies)

    async def _is_due(self, buffer: BodyBuffer) -> bool:
        """Wait for events, and return whether the lease must be renewed, or the broker be asked, without any."""
        try:
            if not self._asks:
                async with asyncio.timeout(self._writer.lease / 3):
                    await buffer.wait_for_frames()
        except TimeoutError:
            return True
        asks, self._asks = self._asks, False
        return asks

    async def _finish(self, bodies: list[bytes]) -> Status:
        """Publish the last events of a source that has ended."""
        if self._error is None:
            await self._writer.write(bodies, "completed")
            return "completed"
        if not self._committed and not self.events:
            await self._writer.discard()
            return "failed"
        await self._writer.write(bodies, "failed", self._errors)
        return "failed"

    async def _fail(self, error: Exception) -> Status:
        """Stop the source because of an error that is not its own."""
        await report_failure(self, self._pump.source, error, "The source %r of a run has yielded too much.")
        await self._pump.stop(sse_settings.CLEANUP_TIMEOUT)
        self._error = error
        await self._writer.write([], "failed", await self._endings.errors(error, self._pump.source))
        return "failed"
