"""A subscriber's cursor: its place in the log of its audience, and the events that it reads before."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from adrf_sse.brokers.messages import PAGE_SIZE, ChannelEvent, Page, message_body
from adrf_sse.events.event import READY_EVENT, RESET_EVENT
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.signals import subscriber_dropped
from adrf_sse.streams.buffer import CHUNK_SIZE, FrameBuffer

if TYPE_CHECKING:
    from adrf_sse.channels.audience import Audience


class Chunk(NamedTuple):
    """Events that leave together."""

    frames: bytes
    events: int
    """How many events these are; the IDs are 0 if there is none."""
    first_id: int
    last_id: int
    skipped_users: frozenset[str] = frozenset()
    """Users whose streams do not receive some of the events."""
    is_last: bool = False
    """Whether the last of them ends its channel."""


class State(Enum):
    """Where a cursor reads."""

    BEHIND = "behind"
    """It reads history, page by page, as fast as its client reads."""
    LIVE = "live"
    """It reads the log."""
    LAGGED = "lagged"
    """It fell too far behind the log, and reads nothing more."""
    LEFT = "left"
    """It has left its audience."""


class Cursor(FrameBuffer):
    """Read the events of some channels, first from history and then from the log of the channels' audience.

    A stream takes them as chunks, whose bytes the subscribers share; a task takes them one by one. While a page of
    history is read, the cursor marks its place in the log. If that page is the last one, the cursor goes on in the log,
    after the mark, with the first event that is not in the page: so nothing is lost or repeated.

    ``on_lag`` is called when the client reads too slowly, ``on_behind`` when the cursor must read history again, and
    ``on_last`` when the event that ends the channel is read.
    """

    __slots__ = ("_announced", "_early", "_early_read", "_on_behind", "_on_lag", "_on_last", "_user", "channels",
                 "last_id", "log", "place", "state")  # fmt: skip

    log: "Audience"

    def __init__(
        self,
        channels: frozenset[str],
        last_id: int | None,
        *,
        user: str | None = None,
        on_lag: Callable[[], None] | None = None,
        on_behind: Callable[[], None] | None = None,
        on_last: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.last_id = last_id
        """The ID up to which it has received events, those that wait in it included."""
        self.state = State.BEHIND
        self.place: int | None = None
        """Its place in the log, or its mark while it reads a page of history."""
        self._user = user  # events that skip this user are left out
        self._on_lag = on_lag
        self._on_behind = on_behind
        self._on_last = on_last
        self._early: Sequence[ChannelEvent] = ()  # events to read before those in the log; shared, so never changed
        self._early_read = 0
        self._announced: Mapping[str, int] = {}  # by channel, the ID up to which a reset has announced missing events

    def __bool__(self) -> bool:
        return bool(self._frames) or self.has_early or self.unread > 0

    @property
    def has_early(self) -> bool:
        """Whether events wait that were read from history."""
        return self._early_read < len(self._early)

    @property
    def unread(self) -> int:
        """Events in the log that it may read now."""
        return self.log.released - self.place if self.state is State.LIVE and self.place is not None else 0

    # Reading

    def next_event(self) -> ChannelEvent | None:
        """Return the next event, or ``None`` if none is there. Raises ``SubscriberLagged`` after the last one."""
        self._ready = None
        if self.has_early:
            event = self._early[self._early_read]
            self._early_read += 1
            if self._early_read == len(self._early):
                self._drop_early()
            return self._read(event)
        if self.state is State.LAGGED:
            raise SubscriberLagged(self.last_id)
        while self.place is not None and self.unread > 0:
            event = self.log.event(self.place)
            self.log.move(self, self.place + 1)
            if event.number > (self.last_id or 0):
                self.last_id = event.number
                if event.skipped_user is None or event.skipped_user != self._user:
                    return self._read(event)
        return None

    def _read(self, event: ChannelEvent) -> ChannelEvent:
        if event.is_last:
            self.finish()
        return event

    def finish(self) -> None:
        """Read nothing more, because the channel has ended."""
        self.state = State.LEFT
        if self._on_last is not None:
            self._on_last()

    def take(self) -> bytes:
        """Return the frames that come next as one chunk, or ``b""`` if there are none."""
        self._ready = None
        return super().take() if self._frames else self._take_events()

    def _take_events(self) -> bytes:
        if self._early:
            return self._take_early()
        while self.state is State.LIVE and self.place is not None:
            chunk = self.log.chunk(self.place)
            if chunk.events and chunk.first_id <= (self.last_id or 0):
                # The first events were in the last page of history, too.
                self.log.move(self, self.log.place_after(self.place, self.last_id or 0))
                chunk = self.log.chunk(self.place)
            if not chunk.events:
                break
            frames = chunk.frames
            if self._user in chunk.skipped_users:
                frames = self.log.frames_for(self._user, self.place, chunk.events)
            self.events += chunk.events
            self.last_id = chunk.last_id
            self.log.move(self, self.place + chunk.events)
            if chunk.is_last:
                self.finish()
            if frames:
                return frames
        return b""

    def _take_early(self) -> bytes:
        chunk = join(self._early, self._early_read)
        self._early_read += chunk.events
        self.events += chunk.events
        if not self.has_early:
            self._drop_early()
        if chunk.is_last:
            self.finish()
        return chunk.frames

    def _drop_early(self) -> None:
        self._early, self._early_read = (), 0
        self.make_room()

    def put(self, frame: bytes, *, first: bool = False) -> None:
        """Add a frame that is no event, after the events that can be read now."""
        if frame and not first:
            self._keep_events()
        super().put(frame, first=first)

    def ready_event(self) -> ChannelEvent:
        """Return the event with the last ID, so that a client that receives no other event can resume from here."""
        return ChannelEvent("", self.last_id or 0, message_body({}, READY_EVENT))

    def put_ready(self) -> None:
        """Add ``ready`` after the events that can be read now, with the ID of the last one."""
        self._keep_events()
        super().put(self.ready_event().frame)

    def _keep_events(self) -> None:
        """Put the events that can be read now before what follows them, of those in the log up to a page's bytes."""
        while (self._early or self._size < PAGE_SIZE) and (chunk := self._take_events()):
            super().put(chunk)

    def clear(self) -> None:
        """Drop everything that was not taken."""
        self._drop_early()
        super().clear()
        if self.place is not None:
            self.log.move(self, None)

    def wait_for_frames(self) -> "asyncio.Future[None]":
        """Return a future that ends when there is something to read."""
        ready = super().wait_for_frames()
        if self.state is State.LIVE:
            self.log.wait(self, ready)
        return ready

    # Moving between history and the log

    def add_page(self, page: Page) -> None:
        """Read a page of history next, after a ``reset`` if events before it are missing."""
        if any(until > self._announced.get(channel, 0) for channel, until in page.missed.items()):
            self.add_reset(page, self.last_id)
        self._add_early(page.events)
        self.last_id = page.position if page.complete else page.events[-1].number
        self.wake_reader()

    def add_reset(self, page: Page, last_event_id: str | int | None) -> None:
        """Read a ``reset`` before a page. A client that resumes from its ID still receives everything after it."""
        self._announced = {**self._announced, **page.missed}
        self.last_id = page.events[0].number - 1 if page.events else page.position
        body = message_body({"last_event_id": last_event_id}, RESET_EVENT)
        self._add_early([ChannelEvent("", self.last_id, body)])

    def add_early(self, events: Sequence[ChannelEvent]) -> None:
        """Read some events before those in the log."""
        self._add_early(events)
        self.wake_reader()

    def go_live(self) -> None:
        """Read the log from the mark on."""
        self.state = State.LIVE
        self.wake_reader()

    def fall_behind(self, events: Sequence[ChannelEvent], last_id: int | None) -> None:
        """Read some events that were in the log, and then history, from ``last_id`` on if that is later."""
        self._leave_log(State.BEHIND, events)
        if last_id is not None:
            self.last_id = max(self.last_id or 0, last_id)
        if self._on_behind is not None:
            self._on_behind()

    def stay_behind(self) -> None:
        """Go on to read history, from which events may be missing that could not be published."""
        is_read_by_stream = self._on_lag is not None  # which reads history already
        if self.state is State.BEHIND and self._on_behind is not None and not is_read_by_stream:
            self._on_behind()

    def lag(self, events: Sequence[ChannelEvent]) -> None:
        """Read some events that were in the log, and nothing after them, because the client reads too slowly."""
        self._leave_log(State.LAGGED, events)
        subscriber_dropped.send_robust(type(self), channels=self.channels)
        if self._on_lag is not None:
            self._on_lag()

    def leave(self) -> None:
        """Read nothing more; the stream can still take what could be read until now, up to a page's bytes."""
        self._keep_events()
        self.state = State.LEFT

    def _leave_log(self, state: State, events: Sequence[ChannelEvent]) -> None:
        self.state = state
        self._add_early(events)
        if events:
            self.last_id = events[-1].number
        self.wake_reader()

    def _add_early(self, events: Sequence[ChannelEvent]) -> None:
        if self._user is not None and any(event.skipped_user == self._user for event in events):
            events = [event for event in events if event.skipped_user != self._user]
        unread = self._early[self._early_read :]
        self._early, self._early_read = [*unread, *events] if unread else events, 0


def join(events: Sequence[ChannelEvent], start: int) -> Chunk:
    """Return the events from an index on, as many as fit into one chunk."""
    frames: list[bytes] = []
    skipped: set[str] = set()
    size = 0
    for index in range(start, len(events)):
        event = events[index]
        size += len(event.frame)
        if frames and size > CHUNK_SIZE:
            break
        frames.append(event.frame)
        if event.skipped_user is not None:
            skipped.add(event.skipped_user)
    if not frames:
        return Chunk(b"", 0, 0, 0)
    joined = frames[0] if len(frames) == 1 else b"".join(frames)
    last = events[start + len(frames) - 1]
    return Chunk(joined, len(frames), events[start].number, last.number, frozenset(skipped), last.is_last)
