"""What time does to a stream: heartbeats, a client that takes nothing or may no longer read, a longest duration."""

import asyncio
from contextvars import Context
from math import inf
from random import uniform
from typing import Protocol

from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.options import Options

_RESOLUTION = 0.002
"""Seconds that a timer may fire early."""


class Paced(Protocol):
    """What the pulse needs of a stream."""

    def expire(self) -> None:
        """End the stream: it has lasted long enough."""

    def let_go(self) -> None:
        """End the stream: its client takes nothing."""

    def check_access(self) -> None:
        """Look whether the client may go on reading, and call ``Pulse.checked()`` where it may."""


class Pulse:
    """Look at a stream when something may be due, with one timer, so that an event costs no timer of its own."""

    __slots__ = ("_buffer", "_check_at", "_check_interval", "_context", "_expires_at", "_heartbeat", "_loop",
                 "_options", "_since", "_stream", "_timer")  # fmt: skip

    def __init__(
        self,
        stream: Paced,
        options: Options,
        buffer: FrameBuffer,
        heartbeat: bytes,
        *,
        check_interval: float | None = None,
        context: Context | None = None,
    ) -> None:
        self._stream = stream
        self._context = context
        self._options = options
        self._heartbeat = heartbeat
        self._buffer = buffer
        self._check_interval = check_interval
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._expires_at = inf
        if options.max_duration is not None:
            # Spread, so that clients who came together do not come back together.
            self._expires_at = self._since + options.max_duration * uniform(0.9, 1.1)
        self._check_at = self._next_check()
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def sent(self) -> None:
        """Note that the reader has taken a chunk, and is sending it."""
        self._since = self._loop.time()

    def checked(self) -> None:
        """Note that the client may go on reading, until the next check."""
        self._check_at = self._next_check()
        self.stop()
        self._schedule()

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_check(self) -> float:
        # Spread, so that clients who came together are not checked together; but never late.
        return inf if self._check_interval is None else self._loop.time() + self._check_interval * uniform(0.9, 1)

    def _schedule(self) -> None:
        now = self._loop.time()
        options = self._options
        intervals = [interval for interval in (options.heartbeat, options.send_timeout) if interval is not None]
        deadlines = [self._since + interval for interval in intervals if self._since + interval > now]
        due = min([*deadlines, *(now + interval for interval in intervals), self._expires_at, self._check_at])
        if due < inf:
            self._timer = self._loop.call_at(due, self._look, context=self._context)

    def _look(self) -> None:
        now, options = self._loop.time(), self._options
        silence = now - self._since + _RESOLUTION
        if now + _RESOLUTION >= self._check_at:
            self._check_at = inf  # until this check is done
            self._stream.check_access()
        if now + _RESOLUTION >= self._expires_at:
            self._expires_at = inf
            self._stream.expire()
        elif not self._buffer.awaited:
            if options.send_timeout is not None and silence >= options.send_timeout:
                self._stream.let_go()
        elif options.heartbeat is not None and silence >= options.heartbeat:
            self._buffer.put(self._heartbeat)
        self._schedule()
