"""What runs a source: one task that opens it, pulls its events, encodes them and closes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from adrf_sse.events.frames import Encode, is_frame
from adrf_sse.logs import about, logger
from adrf_sse.runtime.loops import hold_task
from adrf_sse.runtime.stream_threads import enter_stream_thread, run_in_stream_thread, stream_threads
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.reports import report_framed_text, sole_cause
from adrf_sse.streams.slow_steps import watched
from adrf_sse.streams.sources import DirectSource, Source

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

Serialize = Callable[[Any], Awaitable[Any]]
"""Returns what a source has yielded with its data serialized."""


_running: "ContextVar[ReferenceType[Lifecycle] | None]" = ContextVar("adrf_sse_stream", default=None)
"""The stream whose source runs here; weak, because tasks that a source starts may outlive the stream."""


def running_stream() -> "Lifecycle | None":
    """Return the stream whose source runs in this task, or in a task that started this one; ``None`` elsewhere."""
    reference = _running.get()
    return None if reference is None else reference()


class Pump:
    """Run a source in one task, put its frames into a buffer, and pause the source while the buffer is full.

    ``serialize`` is applied to each item before it is encoded.
    """

    __slots__ = ("_encode", "_owner", "_serialize", "_warned", "buffer", "source", "stopping", "task")

    def __init__(
        self,
        source: Any,
        owner: "Lifecycle",
        buffer: FrameBuffer,
        encode: Encode,
        serialize: Serialize | None = None,
    ) -> None:
        self.source = Source(source)
        self.buffer = buffer
        self.task: asyncio.Task[None] | None = None
        """Runs the source, once it was started."""
        self.stopping = False
        """Whether the source was told to stop."""
        self._owner = owner
        self._encode = encode
        self._serialize = serialize
        self._warned = False  # of text that is a frame

    @property
    def channels(self) -> frozenset[str]:
        """The channels whose events the source puts into the buffer directly."""
        return frozenset()

    def start(self) -> None:
        """Start the task that runs the source, on the running loop."""
        self.task = asyncio.get_running_loop().create_task(self._run(), name=repr(self.source))
        self.task.add_done_callback(self._task_done)

    def discard(self) -> None:
        """Release a source that was never started."""
        self.source.discard()

    async def stop(self, timeout: float) -> None:
        """Cancel the source and wait until it is closed, at most ``timeout`` seconds."""
        assert self.task is not None
        self.stopping = True
        self.task.cancel()
        await asyncio.wait([self.task], timeout=timeout)
        if not self.task.done():
            message = "The source %r did not stop within %g s of being cancelled."
            details = about(self._owner.request, source=repr(self.source))
            logger.error(message, self.source, timeout, extra=details)
            hold_task(self.task)
            self.task.cancel()
            await asyncio.wait([self.task], timeout=timeout / 10)
        self._end()

    async def _run(self) -> None:
        thread = enter_stream_thread()
        _running.set(ref(self._owner))
        try:
            async with self.source as items:
                with suppress(StopAsyncIteration):  # raised where a cancellation, thrown into the source, ends it
                    # In this coroutine: one of its own would take 0.3 KiB of each idle stream.
                    buffer, encode, typed = self.buffer, self._encode, self._serialize is not None
                    items = watched(items, self._owner, self.source)
                    async for item in items:
                        if self.stopping:
                            break
                        frame = await self._serialized(items, item) if typed else encode(item)
                        if isinstance(item, str) and item.endswith("\n") and is_frame(item):
                            self._warn_of_text(item)
                        buffer.events += 1
                        if not buffer.offer(frame):
                            await self._put_paused(frame, items)
                        del item, frame  # a silent stream must not keep its last event alive
            if not self.stopping:
                await self._put(self._owner.end_frame())
        except Exception as exc:
            await self._owner.source_failed(sole_cause(exc))
        finally:
            if thread is not None:
                stream_threads.release(thread)

    def _warn_of_text(self, frame: str) -> None:
        if not self._warned:
            self._warned = True
            report_framed_text(self._owner, self.source, frame)

    async def _put(self, frame: bytes) -> None:
        while not self.buffer.offer(frame):
            await self.buffer.wait_for_room()

    async def _put_paused(self, frame: bytes, items: AsyncIterator[Any]) -> None:
        """Put a frame when there is room. Throw a cancellation of the wait into the source, where it has yielded.

        The frame is put even then, so one frame may exceed the limit. What the source yields next follows it.
        """
        while not self.buffer.offer(frame):
            try:
                await self.buffer.wait_for_room()
            except asyncio.CancelledError as exc:
                self.buffer.put(frame)
                item = await _throw(items, exc)
                frame = self._encode(item) if self._serialize is None else await self._serialized(items, item)
                self.buffer.events += 1

    async def _serialized(self, items: AsyncIterator[Any], item: Any) -> bytes:
        """Return the frame of a typed event. Throw a cancellation into the source, as ``_put_paused()`` does."""
        assert self._serialize is not None
        while True:
            try:
                return self._encode(await self._serialize(item))
            except asyncio.CancelledError as exc:
                self.buffer.put(self._encode(await self._serialize(item)))
                self.buffer.events += 1
                item = await _throw(items, exc)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not self.stopping:
            # A source that cancelled its own task; other exceptions that are no Exception end the process.
            failure = RuntimeError(f"The source {self.source!r} cancelled its own task.")
            failure.__cause__ = error
            hold_task(asyncio.get_running_loop().create_task(self._fail(failure)))
        else:
            self._end()

    async def _fail(self, error: Exception) -> None:
        await run_in_stream_thread(partial(self._owner.source_failed, error))
        self._end()

    def _end(self) -> None:
        self._owner.source_ended()
        self.buffer.end()


class DirectPump(Pump):
    """Run a source that puts frames into its own buffer. The task ends when the source is open."""

    __slots__ = ("_direct",)

    def __init__(self, source: DirectSource, owner: "Lifecycle", encode: Encode, on_lag: Callable[[], None]) -> None:
        super().__init__(source, owner, source.new_buffer(on_lag, self._end), encode)
        self._direct = source

    @property
    def channels(self) -> frozenset[str]:
        """The channels of the source."""
        return self._direct.channels

    async def stop(self, timeout: float) -> None:
        """Leave the source, and cancel it if it is still opening."""
        assert self.task is not None
        self.stopping = True
        self.task.cancel()
        await self._direct.leave()
        await super().stop(timeout)

    async def _run(self) -> None:
        try:
            await self._direct.open()
        except Exception as exc:
            await self._fail(exc)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            super()._task_done(task)


async def _throw(items: AsyncIterator[Any], exc: asyncio.CancelledError) -> Any:
    """Throw a cancellation into a source that has yielded, and return what it yields next.

    A task group or a timeout around its ``yield`` then handles the cancellation as it does around an ``await``.
    """
    throw = getattr(items, "athrow", None)
    if throw is None:
        raise exc
    return await throw(exc)
