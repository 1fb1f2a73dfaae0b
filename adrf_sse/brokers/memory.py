"""The broker of a single process: nothing to install, nothing to configure."""

import asyncio
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection
from itertools import islice
from time import time_ns

from adrf_sse.brokers.base import Broker, Inbox
from adrf_sse.brokers.messages import ChannelEvent, Page, kept_for, page_of, share
from adrf_sse.runtime.loops import running_loop
from adrf_sse.settings import sse_settings

MAX_WAITING = 10_000
"""Events that wait for an event loop to take them, before it is sent to the history instead."""


def _microseconds() -> int:
    return time_ns() // 1000


class _History:
    """What is kept of one channel."""

    __slots__ = ("dropped", "events")

    def __init__(self, dropped: int) -> None:
        self.events: deque[ChannelEvent] = deque()
        self.dropped = dropped
        """The id of the last event that is kept no more; who has seen it has missed nothing."""

    def add(self, event: ChannelEvent) -> None:
        self.events.append(event)
        while len(self.events) > sse_settings.CHANNEL_HISTORY:
            self._drop()

    def expire(self, oldest: int) -> None:
        while self.events and self.events[0].number < oldest:
            self._drop()

    def after(self, number: int, limit: int) -> tuple[list[ChannelEvent], bool]:
        start = bisect_right(self.events, number, key=lambda event: event.number)
        return list(islice(self.events, start, start + limit)), len(self.events) > start + limit

    def _drop(self) -> None:
        self.dropped = self.events.popleft().number


class MemoryBroker(Broker):
    """Keep channels in this process's memory; other processes have their own."""

    process_local = True

    def __init__(self) -> None:
        self._born = self._last = _microseconds()
        # Not for an operating system's signal that publishes while its thread does, but so that it does not wait for
        # itself: such a handler has to hand over.
        self._lock = threading.RLock()
        self._histories: OrderedDict[str, _History] = OrderedDict()  # the one that was published to last comes last
        self._links: set[MemoryLink] = set()

    def publish(self, channel: str, body: bytes) -> int:
        """Keep an event and hand it to the subscribers, from any thread."""
        with self._lock:
            self._last = number = max(self._last + 1, _microseconds())
            event = ChannelEvent(channel, number, body)
            self._keep(event)
            links = [link for link in self._links if link.put(event)]
        for link in links:
            link.wake()
        return number

    async def apublish(self, channel: str, body: bytes) -> int:
        """Do the same: nothing in it blocks."""
        return self.publish(channel, body)

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return what is kept after an id."""
        # As any broker does: else who reads history again and again would keep the event loop from all others.
        await asyncio.sleep(0)
        with self._lock:
            position = self._last
            if after is None:
                return Page([], position, True, 0)
            if after > position:
                return Page([], position, True, position)
            histories = [self._histories.get(channel) for channel in channels]
            dropped = [self._unknown() if history is None else history.dropped for history in histories]
            number = share(limit, len(histories))
            parts = [history.after(after, number) for history in histories if history is not None]
        missed_until = max((until for until in dropped if until > after), default=0)
        return page_of(parts, position=position, limit=limit, missed_until=missed_until)

    def link(self, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> "MemoryLink":
        """Return a link to an event loop."""
        return MemoryLink(self, inbox, loop)

    def _keep(self, event: ChannelEvent) -> None:
        oldest = event.number - kept_for()
        history = self._histories.get(event.channel)
        if history is None:
            history = self._histories[event.channel] = _History(self._unknown())
        self._histories.move_to_end(event.channel)
        history.add(event)
        history.expire(oldest)
        self._forget_silent(oldest)

    def _forget_silent(self, oldest: int) -> None:
        channel, history = next(iter(self._histories.items()))
        if history.events[-1].number < oldest:
            del self._histories[channel]

    def _unknown(self) -> int:
        """Return up to which id events of a channel that nothing is kept of may have been dropped."""
        return min(max(self._born, _microseconds() - kept_for()), self._last)


class MemoryLink:
    """Hand events that any thread publishes to one event loop."""

    def __init__(self, broker: MemoryBroker, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._inbox = inbox
        self._loop = loop
        self._channels: set[str] = set()
        self._waiting: list[ChannelEvent] = []
        self._overrun = False
        self._called = False  # the loop has been asked to come

    async def add(self, channels: Collection[str]) -> None:
        """Have what is published in these channels from now on."""
        with self._broker._lock:
            self._channels.update(channels)
            self._broker._links.add(self)

    async def remove(self, channels: Collection[str]) -> None:
        """Have no more of these."""
        with self._broker._lock:
            self._channels.difference_update(channels)

    async def aclose(self) -> None:
        """Have nothing more."""
        with self._broker._lock:
            self._broker._links.discard(self)

    def put(self, event: ChannelEvent) -> bool:
        """Leave an event for the loop, where it is wanted; the broker holds its lock."""
        if event.channel not in self._channels:
            return False
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._overrun = True
        if not self._overrun:
            self._waiting.append(event)
        return True

    def wake(self) -> None:
        """Have the loop take what waits: at once in its own thread."""
        if running_loop() is self._loop:
            self._take()
        elif not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:  # the loop is closed, and nobody is left in it
                with self._broker._lock:
                    self._broker._links.discard(self)

    def _take(self) -> None:
        with self._broker._lock:
            events, self._waiting = self._waiting, []
            overrun, self._overrun = self._overrun, False
            self._called = False
        for event in events:
            self._inbox.receive(event)
        if overrun:
            self._inbox.gap()
