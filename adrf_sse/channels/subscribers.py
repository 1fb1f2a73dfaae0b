"""Who gets a feed's events: a stream's buffer, or whoever iterates."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.buffers import FrameBuffer
from adrf_sse.channels.batches import Batch
from adrf_sse.channels.cursors import Cursor
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.settings import sse_settings
from adrf_sse.signals import subscriber_dropped


class Subscriber(Cursor):
    """Take what a feed hands on, up to ``MAX_SUBSCRIBER_BACKLOG`` events ahead of who reads."""

    __slots__ = ("lagged",)

    def __init__(self, channels: frozenset[str]) -> None:
        super().__init__(channels)
        self.lagged = False
        """It fell too far behind, and gets no more."""

    def hand_on(self, batch: Batch) -> None:
        """Take a batch, or end where it would be one too many."""
        if self.lagged:
            return
        waiting = self.waiting + batch.size
        if waiting > sse_settings.MAX_SUBSCRIBER_BACKLOG and self.live:
            self.lagged = True
            subscriber_dropped.send_robust(type(self), channels=self.channels)
            self.fell_behind()
        else:
            self.take(batch, waiting)

    @property
    def waiting(self) -> int:
        """Events that are not read yet."""
        raise NotImplementedError

    def take(self, batch: Batch, waiting: int) -> None:
        """Keep a batch until it is read; with it, so many events wait."""
        raise NotImplementedError

    def fell_behind(self) -> None:
        """Learn that nothing more comes."""
        raise NotImplementedError


class Reader(Subscriber):
    """Let one task read the events one by one."""

    __slots__ = ("_events", "_ready")

    def __init__(self, channels: frozenset[str]) -> None:
        super().__init__(channels)
        self._events: deque[ChannelEvent] = deque()
        self._ready: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Events that are not read yet."""
        return len(self._events)

    def take(self, batch: Batch, waiting: int) -> None:
        """Keep a batch until it is read; with it, so many events wait."""
        self._events += batch.events
        self._wake()

    def fell_behind(self) -> None:
        """Let the reader have what is there, and then know."""
        self._wake()

    def pop(self) -> ChannelEvent | None:
        """Return the next event that is there. Raises ``SubscriberLagged`` where there will be none."""
        if self._events:
            return self._events.popleft()
        if self.lagged:
            raise SubscriberLagged(self.position)
        return None

    async def ready(self) -> None:
        """Wait for the next event."""
        self._ready = asyncio.get_running_loop().create_future()
        try:
            await self._ready
        finally:
            self._ready = None

    def _wake(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)


class Sink(Protocol):
    """What a stream takes frames with."""

    buffer: FrameBuffer
    overrun: Callable[[], None]

    def put(self, frames: bytes, events: int) -> None:
        """Add the frames of some events."""


class Writer(Subscriber):
    """Put the events' bytes into a stream, so that no task has to carry them there."""

    __slots__ = ("_sink", "_waiting")

    def __init__(self, channels: frozenset[str], sink: Sink) -> None:
        super().__init__(channels)
        self._sink = sink
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Events that the server has not taken yet."""
        return self._waiting if self._sink.buffer else 0

    def take(self, batch: Batch, waiting: int) -> None:
        """Put a batch, as the bytes that all share."""
        self._waiting = waiting
        self._sink.put(batch.chunk, batch.size)

    def fell_behind(self) -> None:
        """End the stream."""
        self._sink.overrun()
