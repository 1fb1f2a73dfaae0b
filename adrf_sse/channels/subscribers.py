"""Who gets the events of some channels: a stream's buffer, or whoever iterates."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from adrf_sse.brokers.messages import ChannelEvent, Page, message_body
from adrf_sse.channels.batches import Batch
from adrf_sse.events.event import RESET_EVENT
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.settings import sse_settings
from adrf_sse.signals import subscriber_dropped
from adrf_sse.streams.buffer import CountingBuffer

Read = Callable[[frozenset[str], int | None], Awaitable[tuple[Page, bool]]]
"""Reads a page of history after an id; the second part says whether all that is published since is received."""


class Subscriber:
    """Join what was missed to what comes, with nothing lost or repeated at the seam.

    It is behind at first, and reads history page by page, as fast as its events are taken. What comes while a page is
    read is held: where the page turns out to be the last one, what was held and is not in it follows, and from then on
    it is live. Where it is live and its events are not taken, more than ``MAX_SUBSCRIBER_BACKLOG`` of them end it.
    """

    __slots__ = ("_covered", "_held", "channels", "lagged", "live", "position")

    def __init__(self, channels: frozenset[str], position: int | None) -> None:
        self.channels = channels
        self.position = position
        """The id of the last event that it has, or that is known to need none."""
        self.live = False
        """It gets what comes as it comes."""
        self.lagged = False
        """It fell too far behind, and gets no more."""
        self._covered = 0  # the last id that a reset has told of
        self._held: list[ChannelEvent] | None = None

    # What each kind does in its own way.

    @property
    def waiting(self) -> int:
        """Events that are not taken yet."""
        raise NotImplementedError

    def put(self, batch: Batch) -> None:
        """Keep a batch until it is taken."""
        raise NotImplementedError

    def look(self) -> None:
        """Learn that it has lagged, or is behind again."""
        raise NotImplementedError

    # Behind.

    async def advance(self, read: Read) -> None:
        """Read one page, and be live if it was the last."""
        held: list[ChannelEvent] = []
        self._held = held
        try:
            page, seamless = await read(self.channels, self.position)
        finally:
            self._held = None
        if page.missed_until > self._covered:
            self.reset(page, self.position)
        if page.events:
            self._pass(Batch(page.events))
        if not page.complete:
            return
        self.position = page.position
        rest = Batch(held).after(self.position) if held else None
        if seamless and self.waiting + (rest.size if rest else 0) <= sse_settings.MAX_SUBSCRIBER_BACKLOG:
            self.live = True
            if rest is not None:
                self._pass(rest)

    def reset(self, page: Page, last_event_id: str | int | None) -> None:
        """Tell that events are lost; who comes back with the id of this has what follows still before it."""
        self._covered = page.position
        self.position = page.events[0].number - 1 if page.events else page.position
        body = message_body({"last_event_id": last_event_id}, RESET_EVENT)
        self.put(Batch([ChannelEvent("", self.position, body)]))

    def fall_back(self, waiting: list[ChannelEvent], heard: int | None) -> None:
        """Be behind again: something may have been missed after ``heard``.

        Of what waits for its turn it gets what it may have without lagging; more than that is in history.
        """
        room = sse_settings.MAX_SUBSCRIBER_BACKLOG - self.waiting
        if waiting and room > 0:
            self._pass(Batch(waiting[:room]))
        if heard is not None and room >= len(waiting) and (self.position or 0) < heard:
            self.position = heard
        self.live = False
        self.look()

    # What comes.

    def receive(self, batch: Batch) -> None:
        """Take what comes."""
        if self.live:
            self._pass(batch)
        elif self._held is not None and len(self._held) <= sse_settings.MAX_SUBSCRIBER_BACKLOG:
            self._held += batch.events

    def _pass(self, batch: Batch) -> None:
        if self.position is not None and self.position >= batch.first:
            rest = batch.after(self.position)
            if rest is None:
                return
            batch = rest
        if self.live and self.waiting + batch.size > sse_settings.MAX_SUBSCRIBER_BACKLOG:
            self._lag()
        elif not self.lagged:
            self.position = batch.last
            self.put(batch)

    def _lag(self) -> None:
        if not self.lagged:
            self.lagged = True
            subscriber_dropped.send_robust(type(self), channels=self.channels)
            self.look()


class Reader(Subscriber):
    """Let one task read the events one by one."""

    __slots__ = ("_events", "_ready")

    def __init__(self, channels: frozenset[str], position: int | None) -> None:
        super().__init__(channels, position)
        self._events: deque[ChannelEvent] = deque()
        self._ready: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Events that are not read yet."""
        return len(self._events)

    def put(self, batch: Batch) -> None:
        """Keep a batch until it is read."""
        self._events += batch.events
        self.look()

    def look(self) -> None:
        """Wake the task that reads."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

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


class Sink(Protocol):
    """What a stream takes frames with."""

    buffer: CountingBuffer
    overrun: Callable[[], None]

    def put(self, frames: bytes, events: int) -> None:
        """Add the frames of some events."""


class Writer(Subscriber):
    """Put the events' bytes into a stream, so that no task has to carry them there."""

    __slots__ = ("_behind", "_sink")

    def __init__(
        self, channels: frozenset[str], position: int | None, sink: Sink, behind: "Callable[[Writer], None]"
    ) -> None:
        super().__init__(channels, position)
        self._sink = sink
        self._behind = behind  # has somebody call advance() again

    @property
    def waiting(self) -> int:
        """Events that the server has not taken yet."""
        return self._sink.buffer.events

    def put(self, batch: Batch) -> None:
        """Put a batch, as the bytes that all share."""
        for frames, events in batch.chunks:
            self._sink.put(frames, events)

    def look(self) -> None:
        """End the stream, or have it catch up."""
        if self.lagged:
            self._sink.overrun()
        else:
            self._behind(self)

    async def room(self) -> None:
        """Wait until the server has taken what there is."""
        while self._sink.buffer:
            await self._sink.buffer.wait_for_room()
