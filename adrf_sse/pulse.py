"""What time does to a stream: heartbeats, a client that takes nothing, a limit to how long it may last."""

import asyncio
from collections.abc import Callable
from math import inf
from random import uniform

from adrf_sse.buffers import FrameBuffer
from adrf_sse.events import HEARTBEAT
from adrf_sse.options import Options

_RESOLUTION = 0.002
"""Seconds that a timer may fire early."""


class Pulse:
    """Look at a stream when something may be due, with one timer, so that an event costs no timer of its own."""

    __slots__ = (
        "_buffer",
        "_expired",
        "_expires_at",
        "_heartbeat",
        "_loop",
        "_send_timeout",
        "_since",
        "_stalled",
        "_timer",
    )

    def __init__(
        self, options: Options, buffer: FrameBuffer, *, expired: Callable[[], None], stalled: Callable[[], None]
    ) -> None:
        self._heartbeat = options.heartbeat
        self._send_timeout = options.send_timeout
        self._buffer = buffer
        self._expired = expired
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._expires_at = inf
        if options.max_duration is not None:
            # Spread, so that clients who came together do not come back together.
            self._expires_at = self._since + options.max_duration * uniform(0.9, 1.1)
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def sent(self) -> None:
        """Note that the reader has taken a chunk, and is sending it."""
        self._since = self._loop.time()

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        now = self._loop.time()
        intervals = [interval for interval in (self._heartbeat, self._send_timeout) if interval is not None]
        deadlines = [self._since + interval for interval in intervals if self._since + interval > now]
        due = min([*deadlines, *(now + interval for interval in intervals), self._expires_at])
        if due < inf:
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        silence = now - self._since + _RESOLUTION
        if now + _RESOLUTION >= self._expires_at:
            self._expires_at = inf
            self._expired()
        elif not self._buffer.awaited:
            if self._send_timeout is not None and silence >= self._send_timeout:
                self._stalled()
        elif self._heartbeat is not None and silence >= self._heartbeat:
            self._buffer.put(HEARTBEAT)
        self._schedule()
