"""One open stream: a task that runs the source, and the frames on their way to the client."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from random import randint
from time import monotonic
from typing import Any

from django.core.signals import got_request_exception
from django.dispatch import Signal
from django.http import HttpRequest

from adrf_sse.buffers import FrameBuffer
from adrf_sse.contexts import StreamContext, close_connections, give_back, thread_context
from adrf_sse.encoders import JSONEncode
from adrf_sse.events import END_ID, FrameEncoder, ServerSentEvent
from adrf_sse.failures import failure_event, sole_cause
from adrf_sse.loops import background_loop, run_on, running_loop
from adrf_sse.options import Options
from adrf_sse.pulse import Pulse
from adrf_sse.registry import open_streams
from adrf_sse.settings import sse_settings
from adrf_sse.signals import Reason, stream_closed, stream_opened
from adrf_sse.sources import Source

logger = logging.getLogger("adrf_sse")

SHUTDOWN_CLEANUP = 1.0
"""Seconds at most that a source may take to stop when the server ends."""

_tasks: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
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


class EventStream:
    """Run a source in a task of its own and hand out its frames, what is ready together as one chunk.

    An asynchronous iterator of ``bytes`` for ASGI and, on the background loop, an iterator for WSGI. The source
    starts with the first pull or with ``first_event()``, and is paused while a chunk's worth of bytes waits.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_closed",
        "_done",
        "_encode",
        "_error",
        "_opened_at",
        "_options",
        "_pulse",
        "_reader",
        "_reason",
        "_source",
        "_stopping",
        "_task",
        "bytes",
        "events",
        "loop",
        "request",
    )

    def __init__(self, source: Any, options: Options, *, to_json: JSONEncode | None = None) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that runs the source, once it has started."""
        self.request: HttpRequest | None = None
        """The request, for signals and error reports."""
        self.events = 0
        """Events that the source has yielded."""
        self.bytes = 0
        """Bytes that the server has taken."""
        self._source = Source(source)
        self._options = options
        self._encode = FrameEncoder(to_json)
        self._buffer = FrameBuffer()
        self._task: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[Any] | None = None  # the server's, which pulls and sends
        self._pulse: Pulse | None = None  # runs while the body is read
        self._opened_at: float | None = None  # when the headers went out; until then, an error can be an HTTP error
        self._reason: Reason | None = None  # why it ends, where it is neither its source's end nor its client's leave
        self._error: Exception | None = None
        self._stopping = False  # the source shall end
        self._done = False  # the source has ended
        self._closed = False

    # The source's side: all of it in the source's task.

    def _start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._task = self.loop.create_task(self._run(), name=repr(self._source))
        self._task.add_done_callback(self._ended)
        open_streams.add(self)

    async def _run(self) -> None:
        async with StreamContext():
            try:
                async with self._source as items:
                    await self._pull(items)
                if self._options.finite and not self._stopping:
                    await self._put_last(ServerSentEvent(id=END_ID))
            except Exception as exc:
                await self._fail(sole_cause(exc))

    async def _pull(self, items: AsyncIterator[Any]) -> None:
        buffer, encode = self._buffer, self._encode
        async for item in items:
            if self._stopping:
                break
            frame = encode(item)
            self.events += 1
            while not buffer.fits(frame):
                try:
                    await buffer.wait_for_room()
                except asyncio.CancelledError as exc:
                    buffer.put(frame)  # it was yielded; so one frame may stand beyond the limit
                    try:
                        frame = encode(await _throw(items, exc))
                    except StopAsyncIteration:
                        return
                    self.events += 1
            buffer.put(frame)

    async def _put_last(self, event: ServerSentEvent) -> None:
        frame = self._encode(event)
        if not self._buffer.fits(frame):
            await self._buffer.wait_for_room()
        self._buffer.put(frame)

    async def _fail(self, error: Exception) -> None:
        if self._may_be_http_error():
            self._error = error
            return
        logger.error("The source %r failed while it was streaming.", self._source, exc_info=error)
        await got_request_exception.asend_robust(sender=type(self), request=self.request)
        if not self._stopping:
            self._reason = "error"
            await self._put_last(self._failure(error))

    def _failure(self, error: Exception) -> ServerSentEvent:
        event = failure_event(error, self._options.error_event)
        try:
            self._encode(event)
        except (TypeError, ValueError):
            logger.exception("The detail of %r can't be encoded.", error)
            return failure_event(Exception(), self._options.error_event)
        return event

    def _may_be_http_error(self) -> bool:
        return not self.events and self._opened_at is None and not self._stopping

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not self._stopping:
            self._report(error)
        self._done = True
        self._buffer.wake_reader()

    def _report(self, error: BaseException) -> None:
        """Treat as a failure what ends a task and is no ``Exception``: mostly, that the source was cancelled."""
        logger.error("The source %r cancelled its own task; its stream ends here.", self._source, exc_info=error)
        if self._may_be_http_error():
            self._error = RuntimeError(f"The source {self._source!r} cancelled its own task before its first event.")
        else:
            self._reason = "error"
            self._buffer.put(self._encode(failure_event(Exception(), self._options.error_event)))

    # Opening.

    async def first_event(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the source on ``loop`` and wait for its first event, its end, or ``first_event_timeout``.

        Raises what the source raised before its first event.
        """
        self.loop = loop
        try:
            await run_on(loop, self._first_event())
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _first_event(self) -> None:
        self._start()
        if self._options.first_event_timeout and not self._buffer and not self._done:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.first_event_timeout):
                    await self._buffer.frames()
        if self._error is not None:
            open_streams.discard(self)
            raise self._error
        await self._open()

    async def _open(self) -> None:
        self._opened_at = monotonic()
        await self._announce(stream_opened)

    async def _announce(self, signal: Signal, **values: Any) -> None:
        if signal.has_listeners():
            async with StreamContext():
                await signal.asend_robust(sender=type(self), stream=self, **values)

    # The reader's side.

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> bytes:
        try:
            here = asyncio.get_running_loop()
            if self._pulse is None:
                await self._release_request()
                self._reader = asyncio.current_task()
            if self.loop is None or self.loop is here:
                chunk = await self._next_chunk()
            else:
                chunk = await run_on(self.loop, self._next_chunk())
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _release_request(self) -> None:
        """Let go of what the request phase used, before the first byte."""
        context = thread_context()
        if context is not None:
            await give_back(context)

    def __iter__(self) -> "EventStream":
        return self

    def __next__(self) -> bytes:
        loop = self.loop or background_loop.get()
        if loop is running_loop():
            raise RuntimeError(
                "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
            )
        if self._pulse is None:
            close_connections()
            open_streams.listen()
        chunk = asyncio.run_coroutine_threadsafe(self._next_chunk(), loop).result()
        if chunk is None:
            raise StopIteration
        return chunk

    async def _next_chunk(self) -> bytes | None:
        """Return what is ready, waiting for it if need be; ``None`` at the end."""
        if self._closed:
            return None
        if self._pulse is None:
            await self._open_body()
        if not self._buffer and not self._done:
            await self._buffer.frames()
        if not self._buffer:
            await self._close("completed")
            return None
        chunk = self._buffer.take()
        self.bytes += len(chunk)
        if self._pulse is not None:
            self._pulse.sent()
        return chunk

    async def _open_body(self) -> None:
        if self._options.retry is not None:
            self._buffer.put_first(ServerSentEvent(retry=self._options.retry).encode())
        if self._task is None:
            self._start()
        if self._opened_at is None:
            await self._open()
        self._pulse = Pulse(self._options, self._buffer, expired=self._expire, stalled=self._let_go)

    @property
    def is_read(self) -> bool:
        """Whether the body is being read: what reads it closes the stream."""
        return self._pulse is not None

    # The end.

    def shut_down(self) -> None:
        """End the stream because the server ends: its client comes back after a delay of its own."""
        retry = randint(*sse_settings.SHUTDOWN_RETRY_SPREAD)
        self._end("shutdown", ServerSentEvent(retry=retry), min(SHUTDOWN_CLEANUP, sse_settings.CLEANUP_TIMEOUT))

    def _expire(self) -> None:
        self._end("expired", None, sse_settings.CLEANUP_TIMEOUT)

    def _let_go(self) -> None:
        """Give up a client that takes nothing: its request's task waits in the server's ``send``."""
        if self._closed or self._buffer.awaited or self._task is None:
            return
        self._reason = self._reason or "timeout"
        if self._reader is not None and not self._reader.done():
            self._reader.get_loop().call_soon_threadsafe(self._reader.cancel)
        else:
            _keep(self._task.get_loop().create_task(self._close("timeout")))

    def _end(self, reason: Reason, farewell: ServerSentEvent | None, timeout: float) -> None:
        """Stop the source, and let the reader have what is there."""
        if self._task is None or self._stopping or self._done:
            return
        self._reason = reason
        self._stopping = True
        if farewell is not None:
            self._buffer.put(farewell.encode())
            # A client that takes nothing must not hold up the server.
            self._task.get_loop().call_later(timeout, self._let_go)
        _keep(self._task.get_loop().create_task(self._stop(self._task, timeout)))

    async def _stop(self, task: asyncio.Task[None], timeout: float) -> None:
        self._stopping = True
        task.cancel()
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            logger.error("The source %r did not stop within %g s of being cancelled.", self._source, timeout)
            _keep(task)
            task.cancel()
            await asyncio.wait([task], timeout=timeout / 10)
        self._done = True
        self._buffer.wake_reader()

    async def aclose(self) -> None:
        """End the stream: when this returns, the source is closed, or was given up after ``CLEANUP_TIMEOUT``."""
        if self._task is None:
            self._discard()
        elif not self._closed:
            await run_on(self._task.get_loop(), self._close("disconnected"))

    def close(self) -> None:
        """Do the same from any thread; in an event loop's thread, which must not block, only begin it."""
        if self._task is None:
            self._discard()
        elif not self._closed:
            loop = self._task.get_loop()
            if running_loop() is not None:
                loop.call_soon_threadsafe(lambda: _keep(loop.create_task(self._close("disconnected"))))
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._close("disconnected"), loop).result()

    def _discard(self) -> None:
        self._closed = True
        self._source.discard()

    async def _close(self, reason: Reason) -> None:
        """Close the source, where it is open, and tell why the stream ended."""
        self._buffer.clear()
        assert self._task is not None
        if not self._done:
            await self._stop(self._task, sse_settings.CLEANUP_TIMEOUT)
        if self._closed:
            return
        self._closed = True
        if self._pulse is not None:
            self._pulse.stop()
        open_streams.discard(self)
        if self._opened_at is not None:
            await self._announce(
                stream_closed,
                reason=self._reason or reason,
                duration=monotonic() - self._opened_at,
                events=self.events,
                bytes=self.bytes,
            )
