"""Timers of a stream that is read: heartbeats, the send timeout, and the longest duration."""

import asyncio
from contextvars import Context
from math import inf
from random import uniform
from typing import TYPE_CHECKING

from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.options import Options

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

_RESOLUTION = 0.002
"""Seconds that an event loop may call a timer early."""


class Timers:
    """Act on a stream when something is due, with one timer of the event loop, so that an event costs no timer."""

    __slots__ = ("_buffer", "_expires_at", "_handle", "_heartbeat", "_loop", "_options", "_stream", "sent_at")

    def __init__(
        self,
        stream: "Lifecycle",
        options: Options,
        buffer: FrameBuffer,
        heartbeat: bytes,
    ) -> None:
        self._stream = stream
        self._options = options
        self._buffer = buffer
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self.sent_at = self._loop.time()
        """When the reader last took a chunk, to send it."""
        self._expires_at = inf
        if options.max_duration is not None:
            # Spread, so that clients that connected together do not reconnect together.
            self._expires_at = self.sent_at + options.max_duration * uniform(0.9, 1.1)
        self._handle: asyncio.TimerHandle | None = None
        self._schedule()

    def stop(self) -> None:
        """Cancel the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self) -> None:
        now = self._loop.time()
        intervals = [each for each in (self._options.heartbeat, self._options.send_timeout) if each is not None]
        deadlines = [self.sent_at + interval for interval in intervals if self.sent_at + interval > now]
        due = min([*deadlines, *(now + interval for interval in intervals), self._expires_at])
        if due < inf:
            self._handle = self._loop.call_at(due, self._check)

    def _check(self) -> None:
        now, options = self._loop.time() + _RESOLUTION, self._options
        silence = now - self.sent_at
        if now >= self._expires_at:
            self._expires_at = inf
            self._stream.expire()
        elif not self._buffer.awaited:
            if options.send_timeout is not None and silence >= options.send_timeout:
                self._stream.disconnect()
        elif options.heartbeat is not None and silence >= options.heartbeat:
            self._buffer.put(self._heartbeat)
        self._schedule()


class SendTimeout:
    """Cancel the task that sends a response, if it takes longer than ``seconds`` to send a part."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._handle: asyncio.TimerHandle | None = None

    def restart(self) -> None:
        """Allow the full time for the next part. Called in the task."""
        self._cancel()
        if self._seconds is not None and self._task is not None:
            self._handle = self._loop.call_later(self._seconds, self._task.cancel, context=Context())

    def stop(self) -> None:
        """Cancel the timer, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
