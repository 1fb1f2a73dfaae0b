"""The life of a stream: its phases, and what ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import IntEnum
from functools import partial
from time import monotonic, time
from typing import Any

from django.http import HttpRequest

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.frames import Encode
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.logs import view_name
from adrf_sse.runtime.loops import hold_task, run_on, running_loop
from adrf_sse.runtime.stream_threads import run_in_stream_thread
from adrf_sse.settings import sse_settings
from adrf_sse.signals import Reason
from adrf_sse.streams.failures import FormatError, failure_frame
from adrf_sse.streams.limits import Slot
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import Pump
from adrf_sse.streams.reauthorization import Reauthorization
from adrf_sse.streams.reports import (
    is_refusal,
    report_closed,
    report_failed_check,
    report_failure,
    report_opened,
)
from adrf_sse.streams.shutdown import SHUTDOWN_CLEANUP, shutdown
from adrf_sse.streams.timers import Timers

Frame = bytes
"""The type of frames. In the class below, ``bytes`` is the name of an attribute."""


class Phase(IntEnum):
    """The life of a stream, which only advances."""

    NEW = 0
    """The source has not started."""
    STARTED = 1
    """The source runs, and the headers wait for its first event: an error is an HTTP error."""
    OPEN = 2
    """The headers are sent: an error is an event."""
    ENDING = 3
    """The source has ended or must stop. The client receives what is in the buffer."""
    CLOSED = 4
    """The source is closed."""


class Lifecycle:
    """Start, open, end and close a stream, each once, and name the reason of its end.

    A subclass sets ``_pump`` and reads its buffer.
    """

    __slots__ = ("__weakref__", "_closing", "_encode", "_error", "_format_error", "_opened_at", "_opening",
                 "_options", "_pump", "_reason", "_reauthorization", "_started_at", "_timers", "bytes", "loop",
                 "phase", "reader", "request", "slot", "subscriptions")  # fmt: skip

    _pump: Pump

    def __init__(self, options: Options, encode: Encode, format_error: FormatError | None = None) -> None:
        self.phase = Phase.NEW
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that runs the source, once it has started."""
        self.reader: asyncio.Task[Any] | None = None
        """The task of the request, which reads the stream and sends what it reads."""
        self.request: HttpRequest | None = None
        """The request, for signals and error reports."""
        self.bytes: int = 0
        """Bytes that the server has taken."""
        self.slot: Slot | None = None
        """Counts the stream, where limits apply to it."""
        self.subscriptions: tuple[frozenset[str], ...] = ()
        """The channels of each subscription that the source has entered itself."""
        self._options = options
        self._encode = encode
        self._format_error = format_error
        self._error: Exception | None = None  # what the source raised before its first event
        self._reason: Reason | None = None  # why the stream ends
        self._started_at: float | None = None
        self._opened_at: float | None = None
        self._opening: asyncio.Task[None] | None = None  # sends stream_opened
        self._timers: Timers | None = None  # while the stream is read
        self._reauthorization: Reauthorization | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def events(self) -> int:
        """Events that the source has yielded."""
        return self._pump.buffer.events

    @property
    def is_new(self) -> bool:
        """Whether the source has not started."""
        return self.phase is Phase.NEW

    @property
    def is_read(self) -> bool:
        """Whether something reads the stream, and will close it."""
        return self._timers is not None

    @property
    def is_reauthorized(self) -> bool:
        """Whether the client's permissions are checked again while the stream is open."""
        return self._reauthorization is not None

    @property
    def view_name(self) -> str:
        """The name of the view's URL pattern, with namespaces; without a name, the view's dotted path."""
        return view_name(self.request)

    @property
    def started_at(self) -> float | None:
        """When the source started, after the checks of permissions, in seconds since 1970."""
        return None if self._started_at is None else time() - (monotonic() - self._started_at)

    def is_subscribed(self, channel: str) -> bool:
        """Return whether the source is subscribed to a channel."""
        return any(channel in channels for channels in (self._pump.channels, *self.subscriptions))

    def _advance(self, phase: Phase, reason: Reason | None = None) -> bool:
        """Enter a later phase, and return whether it is a later one. The first reason that is given stays."""
        self._reason = self._reason or reason
        if phase <= self.phase:
            return False
        self.phase = phase
        return True

    def _start(self) -> None:
        self._advance(Phase.STARTED)
        self.loop = asyncio.get_running_loop()
        self._started_at = monotonic()
        self._pump.start()
        shutdown.track(self)

    def reauthorize(self, interval: float, check: Callable[[], Awaitable[None]]) -> None:
        """Await ``check()`` every ``interval`` seconds; a refusal ends the stream. Call it before reading."""
        self._reauthorization = Reauthorization(interval, check)

    def _start_checks(self) -> None:
        if self._reauthorization is not None:
            self._reauthorization.start(self._check_refused, partial(report_failed_check, self, self._pump.source))

    async def _open(self) -> None:
        self._advance(Phase.OPEN)
        self._opened_at = monotonic()
        signal = report_opened(self)
        if signal is not None:
            # A client that leaves now must not keep receivers from learning of a stream whose end they will learn of.
            self._opening = asyncio.get_running_loop().create_task(signal)
            await asyncio.shield(self._opening)
            self._opening = None

    # Ending

    async def source_failed(self, error: Exception) -> None:
        """Tell the client, the log and Django of an exception of the source."""
        if isinstance(error, SubscriberLagged):
            self._advance(Phase.ENDING, "timeout")
        elif self.phase is Phase.STARTED and not self.events:
            self._error = error
        else:
            await report_failure(self, self._pump.source, error, "The source %r failed while it was streaming.")
            frame = b"" if self._pump.stopping else await self._failure_frame(error)
            if not self._pump.stopping:
                self._advance(Phase.ENDING, "error")
                self._pump.buffer.put(frame)

    def source_ended(self) -> None:
        """Note that the source puts no more frames. The client receives those in the buffer."""
        if self._error is None:
            self._advance(Phase.ENDING)

    def _check_refused(self, error: Exception) -> None:
        """End the stream because its client may no longer read it, or because the check itself has failed often."""
        if is_refusal(error):
            self._end("revoked")
        elif self.phase < Phase.ENDING:
            end = partial(self._check_failed, error)
            hold_task(asyncio.get_running_loop().create_task(run_in_stream_thread(end)))

    async def _check_failed(self, error: Exception) -> None:
        self._end("error", await self._failure_frame(error))
        await report_failure(self, self._pump.source, error, "The check whether a client may still read %r failed.")

    def revoke(self, retry: int | None = None) -> None:
        """End the stream because its client shall no longer read it. A client that reconnects is checked again.

        ``retry`` is the delay in milliseconds after which it shall reconnect.
        """
        self._end("revoked", b"" if retry is None else self._encode(ServerSentEvent(retry=retry)))

    def expire(self) -> None:
        """End the stream after its longest duration, so that its client reconnects."""
        self._end("expired")

    def shut_down(self) -> None:
        """End the stream because the server stops. Its client reconnects after a delay of its own."""
        timeout = min(SHUTDOWN_CLEANUP, sse_settings.CLEANUP_TIMEOUT)
        self._end("shutdown", self._encode(ServerSentEvent(retry=shutdown.retry())), timeout)
        # A client that stopped reading must not delay the shutdown.
        asyncio.get_running_loop().call_later(timeout, self.disconnect)

    def _end(self, reason: Reason, last: Frame = b"", timeout: float | None = None) -> None:
        """Stop the source, and let the client receive what is in the buffer and a last frame."""
        if self.phase >= Phase.ENDING:
            return
        self._advance(Phase.ENDING, reason)
        self._pump.stopping = True
        self._pump.buffer.put(last)
        stop = self._pump.stop(sse_settings.CLEANUP_TIMEOUT if timeout is None else timeout)
        hold_task(asyncio.get_running_loop().create_task(stop))

    def disconnect(self) -> None:
        """End the stream of a client that stopped reading: its request's task waits in the server's ``send``."""
        if self.phase is Phase.CLOSED or self._pump.buffer.awaited:
            return
        self._advance(Phase.ENDING, "timeout")
        if self.reader is not None and not self.reader.done():
            self.reader.get_loop().call_soon_threadsafe(self.reader.cancel)
        else:
            hold_task(asyncio.get_running_loop().create_task(self._close("timeout")))

    # Closing

    async def aclose(self) -> None:
        """Close the stream. The source is closed when this returns, or did not stop within ``CLEANUP_TIMEOUT``."""
        if self.phase is Phase.NEW:
            self._discard()
        elif self.loop is not None and not self._is_closed:
            await run_on(self.loop, self._close("disconnected"))

    def close(self) -> None:
        """Close the stream from any thread. In an event loop's thread, which must not block, only begin to."""
        if self.phase is Phase.NEW:
            self._discard()
        elif self.loop is not None and not self._is_closed:
            if running_loop() is not None:
                self.loop.call_soon_threadsafe(self._begin_closing)
            elif self.loop.is_running():
                asyncio.run_coroutine_threadsafe(self._close("disconnected"), self.loop).result()

    def abandon(self) -> None:
        """Begin to close the stream because nothing will read it. May be called in any thread, and does not wait."""
        if self.phase is Phase.NEW:
            self._discard()
        elif self.loop is not None and not self._is_closed and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._begin_closing)

    @property
    def _is_closed(self) -> bool:
        return self.phase is Phase.CLOSED and (self._closing is None or self._closing.done())

    def _begin_closing(self) -> None:
        hold_task(asyncio.get_running_loop().create_task(self._close("disconnected")))

    def _discard(self) -> None:
        self._pump.discard()
        self._leave()

    def _leave(self, _: object = None) -> None:
        """Count the stream no longer."""
        self._advance(Phase.CLOSED)
        if self._timers is not None:
            self._timers.stop()
        open_streams.discard(self)
        if self.slot is not None:
            self.slot.release()

    async def _close(self, reason: Reason) -> None:
        """Close the stream once. A caller that is cancelled meanwhile can call this again, to wait for the end."""
        if self._closing is None:
            rest = self._rest_of_closing(reason)
            if rest is None:
                return
            self._closing = asyncio.get_running_loop().create_task(rest)
            self._closing.add_done_callback(self._leave)  # also if the loop ends, and cancels the task
        await asyncio.shield(self._closing)

    def _rest_of_closing(self, reason: Reason) -> Coroutine[Any, Any, None] | None:
        """Close the stream as far as possible without waiting, and return the rest."""
        self._advance(Phase.ENDING, reason)
        self._pump.buffer.clear()
        if not self._pump.buffer.ended or self._reauthorization is not None or self._opening is not None:
            return self._close_once()
        self._leave()
        return self._report_end()

    async def _close_once(self) -> None:
        if not self._pump.buffer.ended:
            await self._pump.stop(sse_settings.CLEANUP_TIMEOUT)
        if self._reauthorization is not None:
            await self._reauthorization.stop(sse_settings.CLEANUP_TIMEOUT)
        self._leave()
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if report := self._report_end():
            await report

    def _report_end(self) -> Coroutine[Any, Any, None] | None:
        if self._opened_at is None or self._reason is None:
            return None
        return report_closed(self, self._reason, self._opened_at)

    # Last frames

    def end_frame(self) -> Frame:
        """Return the frame after the last event of a source that has completed."""
        return self.last_frame(self._options.end_event)

    def last_frame(self, item: Any) -> Frame:
        """Return the last frame of a stream: an item that a source may yield, or ``None`` if there is none."""
        return b"" if item is None else self._encode(item)

    async def _failure_frame(self, error: Exception) -> Frame:
        return await failure_frame(self, self._pump.source, error, self._options.error_event, self._format_error)
