"""One open stream: a task that runs the source, and the frames on their way to the client."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import ThreadSensitiveContext
from django.core.signals import got_request_exception
from django.http import HttpRequest

from adrf_sse.buffers import FrameBuffer
from adrf_sse.contexts import close_connections, give_back, stream_context, thread_context
from adrf_sse.encoders import JSONEncode
from adrf_sse.events import END_ID, HEARTBEAT, FrameEncoder, ServerSentEvent
from adrf_sse.failures import failure_event, sole_cause
from adrf_sse.loops import background_loop, run_on, running_loop
from adrf_sse.options import Options
from adrf_sse.settings import sse_settings
from adrf_sse.sources import Source

logger = logging.getLogger("adrf_sse")

_tasks: set[asyncio.Task[None]] = set()
_of_request: WeakKeyDictionary[ThreadSensitiveContext, set["EventStream"]] = WeakKeyDictionary()


def _keep(task: asyncio.Task[None]) -> None:
    """Hold a task until it is done; an event loop holds tasks only weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def close_unread_streams(**kwargs: Any) -> None:
    """Close what a request leaves open, as ``request_finished`` is sent.

    Where the client leaves before Django has begun to read the response, or a middleware answers with another, nothing
    else tells the stream (Django then cancels the request's task, and closes no response).
    """
    context = thread_context()
    for stream in tuple(_of_request.get(context, ())) if context is not None else ():
        stream.close()


class EventStream:
    """Run a source in a task of its own and hand out its frames, what is ready together as one chunk.

    An asynchronous iterator of ``bytes`` for ASGI and, on the background loop, an iterator for WSGI. The source
    starts with the first pull or with ``first_event()``, and is paused while ``CHUNK_SIZE`` bytes wait.
    """

    def __init__(self, source: Any, options: Options, *, to_json: JSONEncode | None = None) -> None:
        self.request: HttpRequest | None = None
        """The request that error reports name."""
        self._source = Source(source)
        self._options = options
        self._encode = FrameEncoder(to_json)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._buffer = FrameBuffer()
        self._started = False  # an event has come
        self._committed = False  # the headers are out: an error can only be an event
        self._closing = False  # the reader has gone
        self._done = False  # the source has ended
        self._error: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_sent = 0.0

    # The source's side: all of it in the source's task.

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=f"adrf_sse {self._source!r}")
        _keep(self._task)
        self._task.add_done_callback(self._ended)
        context = thread_context()
        if context is not None:
            _of_request.setdefault(context, set()).add(self)
            self._task.add_done_callback(lambda task: _of_request[context].discard(self))

    async def _run(self) -> None:
        async with stream_context():
            try:
                async with self._source.open() as items:
                    await self._pull(items)
                if self._options.finite:
                    await self._put_last(ServerSentEvent(id=END_ID))
            except Exception as exc:
                await self._fail(sole_cause(exc))

    async def _pull(self, items: AsyncIterator[Any]) -> None:
        buffer = self._buffer
        async for item in items:
            if self._closing:
                break
            frame = self._encode(item)
            self._started = True
            if not buffer.fits(frame):
                await buffer.wait_for_room()
            buffer.put(frame)

    async def _put_last(self, event: ServerSentEvent) -> None:
        frame = event.encode()
        if not self._buffer.fits(frame):
            await self._buffer.wait_for_room()
        self._buffer.put(frame)

    async def _fail(self, error: Exception) -> None:
        if not self._started and not self._committed:
            self._error = error
            return
        logger.error("The source %r failed while it was streaming.", self._source, exc_info=error)
        await got_request_exception.asend_robust(sender=type(self), request=self.request)
        if not self._closing:
            await self._put_last(failure_event(error, self._options.error_event))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._closing:
            logger.error("The source %r cancelled its own task; its stream ends here.", self._source)
            self._buffer.put(failure_event(Exception(), self._options.error_event).encode())
        self._done = True
        self._stop_heartbeat()
        self._buffer.wake_reader()

    # The reader's side.

    async def first_event(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the source on ``loop`` and wait for its first event, its end, or ``first_event_timeout``.

        Raises what the source raised before its first event.
        """
        self._loop = loop
        try:
            await run_on(loop, self._first_event())
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _first_event(self) -> None:
        self._start()
        if self._options.first_event_timeout:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.first_event_timeout):
                    await self._buffer.wait_for_frames()
        self._committed = True
        if self._error is not None:
            raise self._error

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> bytes:
        try:
            if not self._last_sent:
                await self._release_request()
            chunk = await run_on(self._loop or asyncio.get_running_loop(), self._next_chunk())
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
        loop = self._loop or background_loop.get()
        if loop is running_loop():
            raise RuntimeError(
                "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
            )
        if not self._last_sent:
            close_connections()
        chunk = asyncio.run_coroutine_threadsafe(self._next_chunk(), loop).result()
        if chunk is None:
            raise StopIteration
        return chunk

    async def _next_chunk(self) -> bytes | None:
        """Return what is ready, waiting for it if need be; ``None`` at the end."""
        if self._closing:
            return None
        if not self._last_sent:
            self._open_body()
        if not self._buffer and not self._done:
            await self._buffer.wait_for_frames()
        if not self._buffer:
            return None
        self._last_sent = asyncio.get_running_loop().time()
        return self._buffer.take()

    def _open_body(self) -> None:
        self._committed = True
        self._last_sent = asyncio.get_running_loop().time()
        if self._options.retry is not None:
            self._buffer.put_first(ServerSentEvent(retry=self._options.retry).encode())
        if self._task is None:
            self._start()
        if self._options.heartbeat is not None and not self._done:
            self._next_heartbeat(self._options.heartbeat)

    # Heartbeats: one timer a stream, which looks how long the silence was, so that an event costs it nothing.

    def _next_heartbeat(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._heartbeat)

    def _heartbeat(self) -> None:
        interval = self._options.heartbeat
        assert interval is not None
        silence = asyncio.get_running_loop().time() - self._last_sent
        if silence >= interval and self._buffer.awaited:
            self._buffer.put(HEARTBEAT)
        if silence >= interval:
            silence = 0
        self._next_heartbeat(max(interval - silence, 0.001))

    def _stop_heartbeat(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The end.

    async def aclose(self) -> None:
        """End the stream: when this returns, the source is closed, or was given up after ``CLEANUP_TIMEOUT``."""
        if self._task is None:
            self._discard()
        elif not self._done:
            await run_on(self._task.get_loop(), self._stop(self._task))

    def close(self) -> None:
        """Do the same from any thread; in an event loop's thread, which must not block, only begin it."""
        if self._task is None:
            self._discard()
        elif not self._done:
            loop = self._task.get_loop()
            if running_loop() is not None:
                task = self._task
                loop.call_soon_threadsafe(lambda: _keep(loop.create_task(self._stop(task))))
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._stop(self._task), loop).result()

    def _discard(self) -> None:
        self._closing = self._done = True
        self._source.discard()

    async def _stop(self, task: asyncio.Task[None]) -> None:
        self._closing = True
        self._stop_heartbeat()
        self._buffer.clear()
        timeout = sse_settings.CLEANUP_TIMEOUT
        task.cancel()
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            logger.error("The source %r did not stop within %g s of being cancelled.", self._source, timeout)
            task.cancel()
            await asyncio.wait([task], timeout=timeout / 10)
