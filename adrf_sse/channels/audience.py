"""The subscribers of one set of channels with one bounded log of events for all of them, and their waking."""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from itertools import islice

from adrf_sse.brokers.messages import ChannelEvent, first_of
from adrf_sse.channels.cursor import Chunk, Cursor, State, join
from adrf_sse.settings import sse_settings

WOKEN_PER_TURN = 64
"""Cursors that are woken in one turn of the event loop at most, so that the loop stays free for other work."""

SHARED_CHUNKS = 16
"""Chunks that are kept for several cursors at most."""

MAX_LOG = 10_000
"""Events in a log at most, or twice ``MAX_SUBSCRIBER_BACKLOG`` if that is more."""

MAX_LOG_BYTES = 16 * 1024 * 1024
"""Bytes of the events in a log at most."""

RELEASED_PER_TURN = 256
"""Events that subscribers may read after each turn of the event loop at most.

So a burst of events does not count as the lag of a subscriber that had no turn to read.
"""


class Audience:
    """Hold the events that some subscriber has yet to read, and wake the subscribers that wait for events.

    Each subscriber is a cursor: its place in the log. Places are counted from the audience's first event on. The log
    begins at the place of the slowest cursor.
    """

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.cursors: set[Cursor] = set()
        """All subscribers; those that read history have no place in the log."""
        self._log: list[ChannelEvent] = []
        self._bytes = 0  # of the events in the log
        self._start = 0  # place of the first event in the log
        self._released = 0  # place after the last event that cursors may read
        self._places: dict[int, int] = {}  # number of cursors at each place
        self._waiting: dict[Cursor, asyncio.Future[None]] = {}  # cursors that wait, the one that waits longest first
        self._round: list[Cursor] = []  # those to be woken, the next one last
        self._chunks: dict[int, Chunk] = {}  # by the place where they begin, until the next release

    # The hub's side

    def append(self, event: ChannelEvent) -> bool:
        """Add an event. Returns ``False`` if the log is full, and the subscribers must read history."""
        if self._places:
            self._log.append(event)
            self._bytes += len(event.frame)
        backlog: int = sse_settings.MAX_SUBSCRIBER_BACKLOG
        return len(self._log) <= max(MAX_LOG, 2 * backlog) and self._bytes <= MAX_LOG_BYTES

    def serve(self, limit: int) -> int:
        """Wake up to ``limit`` cursors that wait for events, and return how many.

        Cursors are woken in rounds. Events that arrive during a round are read by those that are woken after them, as
        one chunk with the events before.
        """
        self._release()
        if not self._round:
            self._round = [*reversed(self._waiting)]
        woken = 0
        while self._round and woken < limit:
            ready = self._waiting.pop(self._round.pop(), None)
            if ready is not None and not ready.done():
                ready.set_result(None)
                woken += 1
        return woken

    def has_more(self) -> bool:
        """Return whether ``serve()`` has to be called again."""
        if self._round or self._released < self.end:
            return True
        return any(
            cursor.place is not None and cursor.place < self._released and not ready.done()
            for cursor, ready in self._waiting.items()
        )

    def resync(self, last_id: int | None) -> None:
        """Let all cursors read history after ``last_id``, once they have read what is in the log."""
        shared: dict[int, list[ChannelEvent]] = {}
        for cursor in tuple(self.cursors):
            if cursor.state is State.LIVE and cursor.place is not None:
                place = self.place_after(cursor.place, cursor.last_id or 0)
                if place not in shared:
                    shared[place] = self._unread(place)
                unread = shared[place]
                cursor.fall_behind(unread, last_id if place + len(unread) == self.end else None)
            else:
                cursor.stay_behind()
            self.move(cursor, None)
        self._waiting.clear()
        self._round.clear()

    # The cursors' side

    @property
    def end(self) -> int:
        """The place after the last event in the log."""
        return self._start + len(self._log)

    @property
    def released(self) -> int:
        """The place after the last event that cursors may read now."""
        return self._released

    def wait(self, cursor: Cursor, ready: "asyncio.Future[None]") -> None:
        """End a future of a cursor when there are events for it."""
        self._waiting[cursor] = ready

    def remove(self, cursor: Cursor) -> None:
        """Remove a cursor."""
        self.move(cursor, None)
        self.cursors.discard(cursor)
        self._waiting.pop(cursor, None)

    def mark(self, cursor: Cursor) -> None:
        """Let the log keep the events from here on, while a cursor reads a page of history."""
        self.move(cursor, self.end)

    def reaches(self, cursor: Cursor) -> bool:
        """Return whether a cursor can continue at its mark."""
        backlog: int = sse_settings.MAX_SUBSCRIBER_BACKLOG
        return cursor.place is not None and self._released - cursor.place <= backlog

    def move(self, cursor: Cursor, place: int | None) -> None:
        """Move a cursor to a place in the log, or out of the log, and drop the events that no cursor has to read."""
        before, cursor.place = cursor.place, place
        if place is not None:
            self._places[place] = self._places.get(place, 0) + 1
        if before is None:
            return
        if self._places[before] > 1:
            self._places[before] -= 1
            return
        del self._places[before]
        if before == self._start:
            first = min(self._places, default=self.end)
            for event in self._log[: first - self._start]:
                self._bytes -= len(event.frame)
            del self._log[: first - self._start]
            self._start = first
            self._released = max(self._released, first)
            if not self._log:
                self._chunks.clear()

    def place_after(self, place: int, number: int) -> int:
        """Return the place of the first event after an ID, from a place on."""
        return self._start + bisect_right(self._log, number, lo=place - self._start, key=lambda event: event.number)

    def event(self, place: int) -> ChannelEvent:
        """Return the event at a place."""
        return self._log[place - self._start]

    def chunk(self, place: int) -> Chunk:
        """Return the events from a place on as one chunk. Cursors at the same place share its bytes."""
        if place not in self._chunks:
            if len(self._chunks) == SHARED_CHUNKS:
                self._chunks.clear()
            self._chunks[place] = join(self._log[place - self._start : self._released - self._start], 0)
        return self._chunks[place]

    def frames_for(self, user: str | None, place: int, events: int) -> bytes:
        """Return some events from a place on, without those that skip a user."""
        start = place - self._start
        return b"".join(event.frame for event in self._log[start : start + events] if event.skipped_user != user)

    def _release(self) -> None:
        """Let cursors read some more events, and end those that are too far behind."""
        backlog = sse_settings.MAX_SUBSCRIBER_BACKLOG
        released = min(self.end, self._released + max(1, min(RELEASED_PER_TURN, backlog // 2)))
        if released != self._released:
            self._released = released
            self._chunks.clear()
            if released - self._start > backlog:
                self._end_laggards(released - backlog)

    def _end_laggards(self, first: int) -> None:
        """End the cursors before a place, unless they wait for their turn, and drop the marks before it."""
        for cursor in tuple(self.cursors):
            place = cursor.place
            if place is None or place >= first or (cursor.state is State.LIVE and cursor.is_idle):
                continue
            if cursor.state is State.LIVE:
                cursor.lag(self._unread(self.place_after(place, cursor.last_id or 0)))
            self.move(cursor, None)

    def _unread(self, place: int) -> list[ChannelEvent]:
        """Return the events from a place on, at most as many as may wait for a subscriber, and a page's bytes."""
        unread = islice(self._log, place - self._start, None)
        return first_of(unread, sse_settings.MAX_SUBSCRIBER_BACKLOG)


class Delivery:
    """Wake the cursors of the audiences that have new events.

    A lone event leaves at once. With many subscribers, waking takes several turns of the event loop; what arrives
    meanwhile leaves together with the events that a cursor has yet to read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: OrderedDict[Audience, None] = OrderedDict()  # with cursors to wake, the one served last comes last
        self._is_serving = False  # now, or in the next turn of the event loop

    def _serve(self) -> None:
        """Serve the audiences that are due, unless that happens in the next turn anyway."""
        if self._is_serving or not self._due:
            return
        self._is_serving = True
        woken = 0
        try:
            for _ in range(len(self._due)):
                audience, _ = self._due.popitem(last=False)
                woken += audience.serve(WOKEN_PER_TURN - woken)
                if audience.has_more():
                    self._due[audience] = None
                if woken >= WOKEN_PER_TURN:
                    break
        finally:
            # The next turn comes after the readers that were just woken.
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_serving = False
        self._serve()
