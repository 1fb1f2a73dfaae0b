"""One open stream: a source's frames on their way to one client."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import randint
from time import monotonic
from typing import Any

from django.core.signals import got_request_exception
from django.dispatch import Signal
from django.http import HttpRequest

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.frames import FrameEncoder
from adrf_sse.events.wire_formats import WireFormat, event_stream
from adrf_sse.logs import log, logger, view_name
from adrf_sse.runtime.contexts import StreamContext, close_connections, release_request
from adrf_sse.runtime.loops import background_loop, run_on, running_loop
from adrf_sse.settings import sse_settings
from adrf_sse.signals import Reason, stream_closed, stream_opened
from adrf_sse.streams.guards import Guard
from adrf_sse.streams.open_streams import SHUTDOWN_CLEANUP, open_streams
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import Pump, PushPump, Serialize, keep
from adrf_sse.streams.reauthorization import is_refusal
from adrf_sse.streams.timers import Pulse

_ENDED = (
    "%(method)s %(path)s: the stream has ended, %(reason)s, after %(duration).3f s, %(events)d events, %(bytes)d bytes."
)


class EventStream:
    """Run a source in a task of its own and hand out its frames, what is ready together as one chunk.

    An asynchronous iterator of ``bytes`` for ASGI and, on the background loop, an iterator for WSGI. The source
    starts with the first pull or with ``first_event()``, and is paused while a chunk's worth of bytes waits.
    """

    __slots__ = ("__weakref__", "_closed", "_closing", "_guard", "_opened_at", "_options", "_pulse", "_pump",
                 "_reader", "_reason", "bytes", "loop", "wire_format")  # fmt: skip

    def __init__(
        self,
        source: Any,
        options: Options,
        wire_format: WireFormat | None = None,
        *,
        serialize: Serialize | None = None,
    ) -> None:
        self.wire_format = wire_format or event_stream()
        """What makes bytes of the events; server-sent events, unless another is given."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that runs the source, once it has started."""
        self.bytes = 0
        """Bytes that the server has taken."""
        self._options = options
        self._pump = self._pump_of(source, serialize)
        self._reader: asyncio.Task[Any] | None = None  # the server's, which pulls and sends
        self._pulse: Pulse | None = None  # runs while the body is read
        self._guard: Guard | None = None
        self._opened_at = 0.0  # when the headers went out
        self._reason: Reason | None = None  # why it ends, where that is neither its source's doing nor its client's
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    def _pump_of(self, source: Any, serialize: Serialize | None) -> Pump:
        encode = self.wire_format.encoder()
        as_it_is = serialize is None and isinstance(encode, FrameEncoder)
        if as_it_is and hasattr(type(source), "push_to"):
            return PushPump(source, self._options, encode, overrun=self.let_go)
        return Pump(source, self._options, encode, serialize)

    @property
    def events(self) -> int:
        """Events that the source has yielded."""
        return self._pump.events

    @property
    def request(self) -> HttpRequest | None:
        """The request, for signals and error reports."""
        return self._pump.request

    @request.setter
    def request(self, request: HttpRequest | None) -> None:
        self._pump.request = request

    def reauthorize(self, interval: float, check: Callable[[], Awaitable[None]]) -> None:
        """Have ``check`` called every ``interval`` seconds while the stream is open; what it raises ends the stream.

        To be called before the stream is read.
        """
        self._guard = Guard(interval, check)

    @property
    def view_name(self) -> str:
        """The name of its URL pattern, with namespaces; where that has none, the view's dotted path."""
        return view_name(self.request)

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
        pump, timeout = self._pump, self._options.first_event_timeout
        if timeout and not pump.buffer and not pump.done:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await pump.buffer.frames()
        if pump.error is not None:
            open_streams.discard(self)
            raise pump.error
        await self._open()

    def _start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pump.start()
        open_streams.add(self)

    async def _open(self) -> None:
        self._pump.committed = True
        self._opened_at = monotonic()
        log(logging.DEBUG, "%(method)s %(path)s: the stream has opened.", self.request)
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
                open_streams.forget_unread()
                await release_request()
                self._reader = asyncio.current_task()
            if self.loop is not None and self.loop is not here:
                chunk = await run_on(self.loop, self._next_chunk())
            else:
                if self._is_idle:
                    # Here, where idle streams spend their time, so that they hold one coroutine less.
                    await self._pump.buffer.frames()
                chunk = await self._next_chunk()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def __iter__(self) -> "EventStream":
        return self

    def __next__(self) -> bytes:
        loop = self.loop or background_loop.get()
        if loop is running_loop():
            raise RuntimeError(
                "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
            )
        if self._pulse is None:
            open_streams.forget_unread()
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
        buffer = self._pump.buffer
        if self._is_idle:
            await buffer.frames()
        if not buffer:
            await self._close("completed")
            return None
        chunk = buffer.take()
        self.bytes += len(chunk)
        if self._pulse is not None:
            self._pulse.sent()
        return chunk

    @property
    def _is_idle(self) -> bool:
        return self._pulse is not None and not self._closed and not self._pump.buffer and not self._pump.done

    async def _open_body(self) -> None:
        if self._options.retry is not None:
            self._pump.buffer.put_first(self._pump.encode(ServerSentEvent(retry=self._options.retry)))
        if self._pump.task is None:
            self._start()
        if not self._pump.committed:
            await self._open()
        interval = None if self._guard is None else self._guard.interval
        buffer, heartbeat = self._pump.buffer, self.wire_format.heartbeat
        context = self._pump.context
        self._pulse = Pulse(self, self._options, buffer, heartbeat, check_interval=interval, context=context)

    @property
    def is_read(self) -> bool:
        """Whether the body is being read: what reads it closes the stream."""
        return self._pulse is not None

    # What the pulse finds.

    def expire(self) -> None:
        """End the stream, so that its client comes back."""
        self._end("expired")

    def check_access(self) -> None:
        """Begin to look whether the client may go on reading; events flow meanwhile."""
        if self._guard is not None and not self._pump.stopping and not self._pump.done:
            self._guard.begin(self._checked)

    def _checked(self, error: Exception | None) -> None:
        """Go on, or end the stream: its client may no longer read, or nobody can tell."""
        if error is None:
            if self._pulse is not None and not self._closed:
                self._pulse.checked()
        elif is_refusal(error):
            self._end("revoked")
        else:
            self._end("error", self._pump.failure(error))
            message = "Whether a client may go on reading %r can't be told."
            logger.error(message, self._pump.source, exc_info=error, extra=self._pump.about())
            keep(asyncio.get_running_loop().create_task(self._report()))

    async def _report(self) -> None:
        async with StreamContext():
            await got_request_exception.asend_robust(sender=type(self), request=self.request)

    # The end.

    def shut_down(self) -> None:
        """End the stream because the server ends: its client comes back after a delay of its own."""
        retry = randint(*sse_settings.SHUTDOWN_RETRY_SPREAD)
        timeout = min(SHUTDOWN_CLEANUP, sse_settings.CLEANUP_TIMEOUT)
        self._end("shutdown", ServerSentEvent(retry=retry), timeout)
        # A client that takes nothing must not hold up the server.
        asyncio.get_running_loop().call_later(timeout, self.let_go)

    def let_go(self) -> None:
        """Give up a client that takes nothing: its request's task waits in the server's ``send``."""
        if self._closed or self._pump.buffer.awaited:
            return
        self._reason = self._reason or "timeout"
        if self._reader is not None and not self._reader.done():
            self._reader.get_loop().call_soon_threadsafe(self._reader.cancel)
        else:
            keep(asyncio.get_running_loop().create_task(self._close("timeout")))

    def _end(self, reason: Reason, farewell: ServerSentEvent | None = None, timeout: float | None = None) -> None:
        """Stop the source, and let the reader have what is there."""
        pump, loop = self._pump, asyncio.get_running_loop()
        if pump.stopping or pump.done:
            return
        self._reason = reason
        pump.stopping = True
        if farewell is not None:
            pump.buffer.put(pump.encode(farewell))
        keep(loop.create_task(pump.stop(sse_settings.CLEANUP_TIMEOUT if timeout is None else timeout)))

    async def aclose(self) -> None:
        """End the stream: when this returns, the source is closed, or was given up after ``CLEANUP_TIMEOUT``."""
        if self._pump.task is None:
            self._discard()
        elif self._closing is None or not self._closing.done():
            await run_on(self._pump.task.get_loop(), self._close("disconnected"))

    def close(self) -> None:
        """Do the same from any thread; in an event loop's thread, which must not block, only begin it."""
        if self._pump.task is None:
            self._discard()
        elif self._closing is None or not self._closing.done():
            loop = self._pump.task.get_loop()
            if running_loop() is not None:
                loop.call_soon_threadsafe(lambda: keep(loop.create_task(self._close("disconnected"))))
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._close("disconnected"), loop).result()

    def _discard(self) -> None:
        self._closed = True
        self._pump.source.discard()

    async def _close(self, reason: Reason) -> None:
        """Close the stream, once; whoever is cancelled while it closes can wait for it again."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close_once(reason))
        await asyncio.shield(self._closing)

    async def _close_once(self, reason: Reason) -> None:
        """Close the source, where it is open, and tell why the stream ended."""
        self._pump.buffer.clear()
        if not self._pump.done:
            await self._pump.stop(sse_settings.CLEANUP_TIMEOUT)
        self._closed = True
        if self._pulse is not None:
            self._pulse.stop()
        if self._guard is not None:
            await self._guard.stop(sse_settings.CLEANUP_TIMEOUT)
        open_streams.discard(self)
        if self._pump.committed:
            end: dict[str, Any] = {
                "reason": self._reason or self._pump.failed or reason,
                "duration": monotonic() - self._opened_at,
                "events": self.events,
                "bytes": self.bytes,
            }
            log(logging.INFO, _ENDED, self.request, **end)
            await self._announce(stream_closed, **end)
