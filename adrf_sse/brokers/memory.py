"""The broker of a single process, which needs no other program and no settings."""

import asyncio
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection
from itertools import islice
from time import time_ns

from adrf_sse.brokers.base import Broker, Receiver
from adrf_sse.brokers.messages import ChannelEvent, Page, microseconds_kept, page_of, per_channel
from adrf_sse.brokers.processes import may_serve, warn_of_process
from adrf_sse.settings import sse_settings

MAX_WAITING = 10_000
"""Events that wait for an event loop at most; beyond that, its streams read history instead."""


class _History:
    """The events that are kept of one channel."""

    __slots__ = ("dropped", "events")

    def __init__(self, dropped: int) -> None:
        self.events: deque[ChannelEvent] = deque()
        self.dropped = dropped
        """The ID of the last event that is no longer kept; a client that received it has missed nothing."""

    def add(self, event: ChannelEvent, oldest: int) -> None:
        """Add an event, and drop those before the ID ``oldest`` and those beyond ``CHANNEL_HISTORY``."""
        events = self.events
        events.append(event)
        while len(events) > sse_settings.CHANNEL_HISTORY or events[0].number < oldest:
            self.dropped = events.popleft().number

    def after(self, number: int, limit: int) -> tuple[list[ChannelEvent], bool]:
        """Return the first events after an ID, and whether there are more."""
        start = bisect_right(self.events, number, key=lambda event: event.number)
        return list(islice(self.events, start, start + limit)), len(self.events) > start + limit


class MemoryBroker(Broker):
    """Keep channels in this process's memory. Other processes have channels of their own."""

    process_local = True

    def __init__(self) -> None:
        self._last = time_ns() // 1000
        self._forgotten = self._last  # up to here, events of channels without history may be missing
        # A thread that is interrupted by a signal handler which publishes too must not wait for itself. Such a handler
        # still has to hand over to other code, because the interrupted call may be halfway through.
        self._lock = threading.RLock()
        self._histories: OrderedDict[str, _History] = OrderedDict()  # ordered by their last event
        self._listeners: dict[str, set[MemoryListener]] = {}
        self._checked = False  # whether this process may serve streams

    def publish(self, channel: str, body: bytes) -> int:
        """Store an event, deliver it to the subscribers, and return its ID. May be called from any thread."""
        if not self._checked:
            self._check_process()
        with self._lock:
            self._last = number = max(self._last + 1, time_ns() // 1000)
            event = ChannelEvent(channel, number, body)
            self._keep(event)
            listeners = tuple(self._listeners.get(channel, ()))
            for listener in listeners:
                listener.put(event)
        for listener in listeners:
            listener.wake()
        return number

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
            parts = [history.after(after, per_channel(limit, len(channels))) for history in histories]
        return page_of(parts, position=position, limit=limit, missed=missed)

    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> "MemoryListener":
        """Return a listener for an event loop."""
        self._checked = True
        return MemoryListener(self, receiver, loop)

    def add_listener(self, listener: "MemoryListener", channels: Collection[str]) -> None:
        """Deliver the events of channels to a listener."""
        with self._lock:
            for channel in channels:
                self._listeners.setdefault(channel, set()).add(listener)

    def remove_listener(self, listener: "MemoryListener", channels: Collection[str] | None = None) -> None:
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

    def _keep(self, event: ChannelEvent) -> None:
        oldest = event.number - microseconds_kept()
        history = self._histories.get(event.channel)
        if history is None:
            history = self._histories[event.channel] = _History(self._dropped_before())
        history.add(event, oldest)
        self._histories.move_to_end(event.channel)
        channel, silent = next(iter(self._histories.items()))
        if silent.events[-1].number < oldest:
            self._forgotten = max(self._forgotten, silent.events[-1].number)
            del self._histories[channel]

    def _dropped(self, channel: str) -> int:
        """Return the ID up to which events may be missing from a channel."""
        history = self._histories.get(channel)
        return self._dropped_before() if history is None else history.dropped

    def _dropped_before(self) -> int:
        """Return the ID up to which events may be missing from a channel without history."""
        return min(max(self._forgotten, time_ns() // 1000 - microseconds_kept()), self._last)


class MemoryListener:
    """Bring the events that any thread publishes to one event loop."""

    def __init__(self, broker: MemoryBroker, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._receiver = receiver
        self._loop = loop
        self._lock = threading.RLock()
        self._waiting: list[ChannelEvent] = []
        self._overrun = False
        self._called = False  # the loop will call _deliver()
        self._delivering = False

    async def subscribe(self, channels: Collection[str]) -> None:
        """Receive the events of these channels from now on."""
        self._broker.add_listener(self, channels)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from these channels."""
        self._broker.remove_listener(self, channels)

    async def aclose(self) -> None:
        """Receive nothing more."""
        self._broker.remove_listener(self)

    def put(self, event: ChannelEvent) -> None:
        """Add an event for the loop. The broker calls this in the order of the events."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.clear()
                self._overrun = True
            if not self._overrun:
                self._waiting.append(event)

    def wake(self) -> None:
        """Let the loop deliver the events; in the loop's own thread, deliver them at once."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._deliver()
        elif not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed, with all its streams
                self._broker.remove_listener(self)

    def _deliver(self) -> None:
        if self._delivering:
            return  # a receiver of an event has published; its event follows those that are being delivered
        self._delivering = True
        try:
            while self._called or self._waiting or self._overrun:
                with self._lock:
                    events, self._waiting = self._waiting, []
                    overrun, self._overrun = self._overrun, False
                    self._called = False
                for event in events:
                    self._receiver.receive(event)
                if overrun:
                    self._receiver.resync()
        finally:
            self._delivering = False
