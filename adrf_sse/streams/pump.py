"""What runs a source: one task that opens it, pulls its events, encodes them and closes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Literal, Protocol

from django.core.signals import got_request_exception
from django.http import HttpRequest

from adrf_sse.events.event import END_ID, ServerSentEvent
from adrf_sse.events.frames import Encode
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.logs import about, logger
from adrf_sse.runtime.contexts import StreamContext, enter_stream_thread, stream_threads
from adrf_sse.streams.buffer import CountingBuffer, FrameBuffer
from adrf_sse.streams.failures import failure_event, sole_cause
from adrf_sse.streams.options import Options
from adrf_sse.streams.sources import Source

Serialize = Callable[[Any], Awaitable[Any]]
"""Takes what a source has yielded, and gives it with its data serialized."""

_tasks: set[asyncio.Task[None]] = set()


def keep(task: asyncio.Task[None]) -> None:
    """Hold a task until it is done; an event loop holds tasks only weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _throw(items: AsyncIterator[Any], exc: asyncio.CancelledError) -> Any:
    """Let a source that has yielded see a cancellation there, as it would where it waits.

    So a task group or a timeout around its yield can tell what it means. Returns what the source yields instead of
    ending.
    """
    throw = getattr(items, "athrow", None)
    if throw is None:
        raise exc
    return await throw(exc)


class Pushing(Protocol):
    """A source that puts its frames into the buffer itself, and needs no task to pull them once it is open."""

    async def push_to(self, sink: "PushPump") -> None:
        """Open, and put what is there; return when nothing more has to be awaited."""

    async def leave(self) -> None:
        """Put nothing more."""


class Pump:
    """Put a source's frames into a buffer, and pause the source while the buffer is full."""

    __slots__ = ("_collected", "_options", "buffer", "committed", "context", "done", "encode", "error", "events",
                 "failed", "request", "serialize", "source", "stopping", "task")  # fmt: skip

    def __init__(
        self,
        source: Any,
        options: Options,
        encode: Encode,
        serialize: Serialize | None = None,
        *,
        collected: bool = False,
    ) -> None:
        self.source = Source(source)
        self.buffer = FrameBuffer()
        self.request: HttpRequest | None = None
        self.serialize = serialize
        """What items pass through before they are encoded, where events are typed."""
        self.events = 0
        """Events that the source has yielded."""
        self.task: asyncio.Task[None] | None = None
        self.context: Context | None = None
        """What the task runs in, and callbacks for which asyncio would keep a copy each."""
        self.committed = False
        """The headers are out: what goes wrong can only be an event."""
        self.error: Exception | None = None
        """What went wrong where it still can be an HTTP error: before the first event, or before any is sent."""
        self.failed: Literal["error", "timeout"] | None = None
        """Why the source ended before its time: it failed, or its subscription fell too far behind."""
        self.stopping = False
        """The source shall end."""
        self.done = False
        """The source has ended, or was given up."""
        self.encode = encode
        """Gives the bytes of what the source yields, in the stream's format."""
        self._options = options
        self._collected = collected  # nothing is sent before the source has ended

    def start(self) -> asyncio.Task[None]:
        """Start the task that runs the source, on the running loop."""
        self.context = copy_context()
        self.task = asyncio.get_running_loop().create_task(self._run(), name=repr(self.source), context=self.context)
        self.task.add_done_callback(self._ended, context=self.context)
        return self.task

    async def stop(self, timeout: float) -> None:
        """Cancel the source, wait until it is closed, and give it up where that takes too long."""
        assert self.task is not None
        self.stopping = True
        self.task.cancel()
        await asyncio.wait([self.task], timeout=timeout)
        if not self.task.done():
            message = "The source %r did not stop within %g s of being cancelled."
            logger.error(message, self.source, timeout, extra=self.about())
            keep(self.task)
            self.task.cancel()
            await asyncio.wait([self.task], timeout=timeout / 10)
        self._finish()

    async def _run(self) -> None:
        thread = enter_stream_thread()
        try:
            async with self.source as items:
                with suppress(StopAsyncIteration):  # a source that ends where a cancellation is thrown into it
                    # Here, and not in a coroutine of its own, which every idle stream would hold.
                    buffer, encode, typed = self.buffer, self.encode, self.serialize is not None
                    async for item in items:
                        if self.stopping:
                            break
                        frame = await self._serialized(items, item) if typed else encode(item)
                        self.events += 1
                        if buffer.fits(frame):
                            buffer.put(frame)
                        else:
                            await self._put_later(frame, items)
                        del item, frame  # a silent stream need not hold its last event
            if self._options.finite and not self.stopping:
                await self._put_last(ServerSentEvent(id=END_ID))
        except Exception as exc:
            await self._fail(sole_cause(exc))
        finally:
            if thread is not None:
                stream_threads.give_back(thread)

    async def _put_later(self, frame: bytes, items: AsyncIterator[Any]) -> None:
        """Put a frame when there is room; what a source yields instead of ending when it is cancelled goes after it."""
        buffer = self.buffer
        while not buffer.fits(frame):
            try:
                await buffer.wait_for_room()
            except asyncio.CancelledError as exc:
                buffer.put(frame)  # it was yielded; so one frame may stand beyond the limit
                item = await _throw(items, exc)
                frame = self.encode(item) if self.serialize is None else await self._serialized(items, item)
                self.events += 1
        buffer.put(frame)

    async def _serialized(self, items: AsyncIterator[Any], item: Any) -> bytes:
        """Return the frame of a typed event."""
        assert self.serialize is not None
        while True:
            try:
                return self.encode(await self.serialize(item))
            except asyncio.CancelledError as exc:
                # It was yielded, so it leaves first.
                self.buffer.put(self.encode(await self.serialize(item)))
                self.events += 1
                item = await _throw(items, exc)

    async def _put_last(self, event: ServerSentEvent) -> None:
        frame = self.encode(event)
        if not self.buffer.fits(frame):
            await self.buffer.wait_for_room()
        self.buffer.put(frame)

    async def _fail(self, error: Exception) -> None:
        if isinstance(error, SubscriberLagged):
            self.failed = "timeout"
            return
        if self._may_be_http_error():
            self.error = error
            return
        logger.error("The source %r failed while it was streaming.", self.source, exc_info=error, extra=self.about())
        await got_request_exception.asend_robust(sender=type(self), request=self.request)
        if not self.stopping:
            self.failed = "error"
            await self._put_last(self.failure(error))

    def failure(self, error: Exception) -> ServerSentEvent:
        """Return the event that tells the client of an error."""
        event = failure_event(error, self._options.error_event)
        try:
            self.encode(event)
        except (TypeError, ValueError):
            logger.exception("The detail of %r can't be encoded.", error, extra=self.about())
            return failure_event(Exception(), self._options.error_event)
        return event

    def _may_be_http_error(self) -> bool:
        return (self._collected or not self.events) and not self.committed and not self.stopping

    def about(self) -> dict[str, Any]:
        """Return what records of the log say of the stream."""
        return about(self.request, source=repr(self.source))

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not self.stopping:
            self._report(error)
        self._finish()

    def _report(self, error: BaseException) -> None:
        """Treat as a failure what ends a task and is no ``Exception``: mostly, that the source was cancelled."""
        message = "The source %r cancelled its own task; its stream ends here."
        logger.error(message, self.source, exc_info=error, extra=self.about())
        if self._may_be_http_error():
            self.error = RuntimeError(f"The source {self.source!r} cancelled its own task.")
        else:
            self.failed = "error"
            self.buffer.put(self.encode(failure_event(Exception(), self._options.error_event)))

    def _finish(self) -> None:
        self.done = True
        self.buffer.wake_reader()


class PushPump(Pump):
    """Let a source put frames into the buffer itself, without a task between them."""

    __slots__ = ("overrun", "pushing")

    def __init__(self, source: Pushing, options: Options, encode: Encode, *, overrun: Callable[[], None]) -> None:
        super().__init__(source, options, encode)
        self.pushing = source
        self.buffer: CountingBuffer = CountingBuffer()
        self.overrun = overrun
        """Called where the client is too far behind."""

    def put(self, frames: bytes, events: int) -> None:
        """Add the frames of some events."""
        self.events += events
        self.buffer.put_events(frames, events)

    async def stop(self, timeout: float) -> None:
        """Leave, and stop what is still opening."""
        await self.pushing.leave()
        await super().stop(timeout)

    async def _run(self) -> None:
        try:
            await self.pushing.push_to(self)
        except Exception as exc:
            async with StreamContext():
                await self._fail(exc)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or self.error is not None or self.failed is not None:
            super()._ended(task)
