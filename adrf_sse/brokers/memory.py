"""The broker of a single process, which needs no other program and no settings."""

import asyncio
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from time import time_ns

from adrf_sse.brokers.base import Broker, Receiver
from adrf_sse.brokers.memory_listener import MemoryListener
from adrf_sse.brokers.memory_runs import MemoryRuns
from adrf_sse.brokers.messages import ChannelEvent, Page, first_of, microseconds_kept
from adrf_sse.brokers.options import valid_option
from adrf_sse.brokers.processes import may_serve, warn_of_process
from adrf_sse.settings import sse_settings
from adrf_sse.validators import count

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of memory that the history of all channels needs at most, by default."""

EVENT_BYTES, HISTORY_BYTES = 400, 1000
"""Bytes of memory that an event needs beside its frame, and a channel beside its events."""


class _History:
    """The events that are kept of one channel."""

    __slots__ = ("dropped", "events")

    def __init__(self, dropped: int) -> None:
        self.events: deque[ChannelEvent] = deque()
        self.dropped = dropped
        """The ID of the last event that is no longer kept; a client that received it has missed nothing."""

    def after(self, number: int) -> Iterator[ChannelEvent]:
        """Return the events after an ID."""
        return islice(self.events, bisect_right(self.events, number, key=_number), None)


def _number(event: ChannelEvent) -> int:
    return event.number


class MemoryBroker(Broker):
    """Keep channels in this process's memory. Other processes have channels of their own.

    All channels together keep events in up to ``max_bytes`` of memory, the latest ones. Raises ``ImproperlyConfigured``
    if that is not a positive number.
    """

    process_local = True

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes: int = valid_option(count, "max_bytes", max_bytes)
        self._last = time_ns() // 1000
        self._forgotten = self._last  # up to here, events of channels without history may be missing
        # A thread that is interrupted by a signal handler which publishes too must not wait for itself. Such a handler
        # still has to hand over to other code, because the interrupted call may be halfway through.
        self._lock = threading.RLock()
        self._histories: dict[str, _History] = {}  # none is empty
        self._events: OrderedDict[int, ChannelEvent] = OrderedDict()  # those of all histories, by ID, in order
        self._bytes = 0  # of their frames
        self._listeners: dict[str, set[MemoryListener]] = {}
        self._to_wake: set[MemoryListener] = set()  # when publishing() is left
        self._runs = MemoryRuns(self, self._max_bytes)
        self.bytes_of_runs = 0
        """Bytes of memory that the events of runs need. They are kept apart from those of other channels."""
        self._checked = False  # whether this process may serve streams

    def publish(self, channel: str, body: bytes) -> int:
        """Store an event, deliver it to the subscribers, and return its ID. May be called from any thread."""
        if not self._checked:
            self._check_process()
        with self._lock:
            event = self._new_event(channel, body)
            self._keep(event)
            listeners, self._to_wake = self._to_wake, set()
        for listener in listeners:
            listener.wake()
        return event.number

    async def apublish(self, channel: str, body: bytes) -> int:
        """Publish an event; nothing in it blocks."""
        return self.publish(channel, body)

    def position(self) -> int:
        """Return the last ID that was assigned."""
        return self._last

    async def aposition(self) -> int:
        """Return the last ID; nothing in it blocks."""
        return self._last

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return at most ``limit`` events after an ID."""
        # Wait as for any other broker. Otherwise a client that reads a long history would block the event loop.
        await asyncio.sleep(0)
        with self._lock:
            position = self._last
            if after is None:
                return Page([], position, True)
            if after > position:
                return Page([], position, True, dict.fromkeys(channels, position))
            missed = {channel: dropped for channel in channels if (dropped := self._dropped(channel)) > after}
            histories = [self._histories[channel] for channel in channels if channel in self._histories]
            events = first_of(merge(*(history.after(after) for history in histories), key=_number), limit)
            last = events[-1].number if events else after
            is_complete = all(history.events[-1].number <= last for history in histories)
        return Page(events, position, is_complete, missed)

    @property
    def runs(self) -> MemoryRuns:
        """The runs of this process."""
        return self._runs

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Hold the lock, and then wake the listeners for which there are events."""
        with self._lock:
            yield
            listeners, self._to_wake = self._to_wake, set()
        for listener in listeners:
            listener.wake()

    def append(self, channel: str, bodies: Sequence[bytes], base: int) -> int:
        """Publish events to a run's channel, which is kept whole, and return the last ID. The lock must be held.

        A reader of a former run with the same channel has an ID before ``base``, and so learns that events are missing.
        """
        history = self._histories.setdefault(channel, _History(base))
        for body in bodies:
            event = self._new_event(channel, body)
            history.events.append(event)
            self.bytes_of_runs += len(event.frame) + EVENT_BYTES
        return history.events[-1].number

    def has_event(self, channel: str, number: int) -> bool:
        """Return whether a channel has an event. The lock must be held."""
        history = self._histories.get(channel)
        found = None if history is None else next(history.after(number - 1), None)
        return found is not None and found.number == number

    def remove_run_channel(self, channel: str) -> None:
        """Drop the events of a run. The lock must be held."""
        history = self._histories.pop(channel, None)
        if history is not None:
            self.bytes_of_runs -= sum(len(event.frame) + EVENT_BYTES for event in history.events)

    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> MemoryListener:
        """Return a listener for an event loop."""
        self._checked = True
        return MemoryListener(self, receiver, loop)

    def add_listener(self, listener: MemoryListener, channels: Collection[str]) -> None:
        """Deliver the events of channels to a listener."""
        with self._lock:
            for channel in channels:
                self._listeners.setdefault(channel, set()).add(listener)

    def remove_listener(self, listener: MemoryListener, channels: Collection[str] | None = None) -> None:
        """Deliver the events of channels, or of all channels, no longer to a listener."""
        with self._lock:
            for channel in tuple(self._listeners) if channels is None else channels:
                listeners = self._listeners.get(channel, set())
                listeners.discard(listener)
                if not listeners:
                    self._listeners.pop(channel, None)

    def _check_process(self) -> None:
        """Warn once, with the first event, if no process can receive what this one publishes."""
        self._checked = True
        if not may_serve():
            warn_of_process(self)

    def _new_event(self, channel: str, body: bytes) -> ChannelEvent:
        """Return an event with the next ID, for which listeners are woken when ``publishing()`` is left."""
        self._last = number = max(self._last + 1, time_ns() // 1000)
        event = ChannelEvent(channel, number, body)
        for listener in self._listeners.get(channel, ()):
            listener.put(event)
            self._to_wake.add(listener)
        return event

    def _keep(self, event: ChannelEvent) -> None:
        history = self._histories.get(event.channel)
        if history is None:
            history = self._histories[event.channel] = _History(self._dropped_before())
        history.events.append(event)
        self._events[event.number] = event
        self._bytes += len(event.frame)
        if len(history.events) > sse_settings.CHANNEL_HISTORY:
            self._drop(history.events[0])
        oldest = event.number - microseconds_kept()
        while (first := next(iter(self._events.values()))) is not event:
            memory = self._bytes + len(self._events) * EVENT_BYTES + len(self._histories) * HISTORY_BYTES
            if first.number >= oldest and memory <= self._max_bytes:
                break
            self._drop(first)

    def _drop(self, event: ChannelEvent) -> None:
        """Drop the first event of a channel, and the channel with its last event."""
        history = self._histories[event.channel]
        history.dropped = history.events.popleft().number
        del self._events[event.number]
        self._bytes -= len(event.frame)
        if not history.events:
            self._forgotten = max(self._forgotten, event.number)
            del self._histories[event.channel]

    def _dropped(self, channel: str) -> int:
        """Return the ID up to which events may be missing from a channel."""
        history = self._histories.get(channel)
        return self._dropped_before() if history is None else history.dropped

    def _dropped_before(self) -> int:
        """Return the ID up to which events may be missing from a channel without history."""
        return min(max(self._forgotten, time_ns() // 1000 - microseconds_kept()), self._last)
