"""What carries a broker's events to the subscribers of one event loop, written once for all brokers."""

import asyncio
from collections import Counter

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import ChannelEvent, Page
from adrf_sse.channels.batches import Batch
from adrf_sse.channels.history import History
from adrf_sse.channels.rounds import GROUP, Group, Rounds
from adrf_sse.channels.subscribers import Subscriber
from adrf_sse.runtime.loops import after_fork
from adrf_sse.signals import event_received

MAX_PENDING = 10_000
"""Events that wait for a group's turn, before they are left to the history instead."""


class Feed:
    """Hand the events of one set of channels on to all who have subscribed to it."""

    def __init__(self, rounds: Rounds) -> None:
        self.joining: set[Subscriber] = set()
        """Subscribers that read history, and hold what comes."""
        self._rounds = rounds
        self._live: dict[Subscriber, Group] = {}
        self._groups: list[Group] = []

    def __len__(self) -> int:
        return len(self.joining) + len(self._live)

    def receive(self, batch: Batch) -> None:
        """Take what comes: for those who are live, group by group."""
        for subscriber in self.joining:
            subscriber.receive(batch)
        for group in self._groups:
            self._rounds.add(group, batch.events)
        self._rounds.go_on()

    def joined(self, subscriber: Subscriber) -> None:
        """Give a subscriber that is live now what comes from here on."""
        self.joining.discard(subscriber)
        group = self._group_with_room()
        group.subscribers[subscriber] = None
        self._live[subscriber] = group

    def left(self, subscriber: Subscriber) -> None:
        """Give a subscriber nothing more."""
        self.joining.discard(subscriber)
        group = self._live.pop(subscriber, None)
        if group is None:
            return
        del group.subscribers[subscriber]
        if not group.subscribers:
            self._groups.remove(group)
            group.waiting.clear()

    def fall_back(self, heard: int | None) -> None:
        """Have all who are live read what they may have missed after ``heard``."""
        live, self._live, self._groups = self._live, {}, []
        self.joining |= live.keys()
        for subscriber, group in live.items():
            subscriber.fall_back(group.waiting, heard)
        for group in set(live.values()):
            group.waiting.clear()

    def _group_with_room(self) -> Group:
        for group in self._groups:
            if len(group.subscribers) < GROUP:
                return group
        self._groups.append(Group())
        return self._groups[-1]


class Hub:
    """Hold the feeds of one event loop, and bring them what the broker's link hears."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._link = broker.link(self, loop)
        self._feeds: dict[frozenset[str], Feed] = {}
        self._by_channel: dict[str, list[Feed]] = {}
        self._rounds = Rounds(loop)
        self._history = History(broker, loop)
        self._gaps = 0
        self._heard: int | None = None  # the last id that the link has brought

    # Subscribing.

    async def join(self, subscriber: Subscriber) -> None:
        """Let a subscriber be part of its feed; it has yet to ``advance()`` until it is live."""
        feed = self._feeds.get(subscriber.channels)
        if feed is None:
            feed = self._open(subscriber.channels)
        feed.joining.add(subscriber)
        await self._link.add(subscriber.channels)

    async def advance(self, subscriber: Subscriber) -> None:
        """Bring a subscriber one page of history on."""
        await subscriber.advance(self.read)
        feed = self._feeds.get(subscriber.channels)
        if subscriber.live and feed is not None and subscriber in feed.joining:
            feed.joined(subscriber)

    async def leave(self, subscriber: Subscriber) -> None:
        """Give a subscriber nothing more; the last one of a channel ends its subscription."""
        feed = self._feeds.get(subscriber.channels)
        if feed is None:
            return
        feed.left(subscriber)
        if not len(feed):
            await self._close(subscriber.channels, feed)

    def count(self) -> dict[str, int]:
        """Return how many subscribers each channel has."""
        return {channel: sum(map(len, feeds)) for channel, feeds in list(self._by_channel.items())}

    def _open(self, channels: frozenset[str]) -> Feed:
        feed = self._feeds[channels] = Feed(self._rounds)
        for channel in channels:
            self._by_channel.setdefault(channel, []).append(feed)
        return feed

    async def _close(self, channels: frozenset[str], feed: Feed) -> None:
        del self._feeds[channels]
        for channel in channels:
            self._by_channel[channel].remove(feed)
        silent = [channel for channel in channels if not self._by_channel[channel]]
        for channel in silent:
            del self._by_channel[channel]
        if self._feeds:
            await self._link.remove(silent)
        else:
            _forget(self._loop, self._broker)
            await self._link.aclose()

    # History.

    async def read(self, channels: frozenset[str], after: int | None) -> tuple[Page, bool]:
        """Read a page of history, and say whether it meets what comes."""
        gaps = self._gaps
        page = await self._history.read(channels, after)
        return page, gaps == self._gaps

    def gap(self) -> None:
        """Have everybody catch up from history."""
        self._gaps += 1
        for feed in self._feeds.values():
            feed.fall_back(self._heard)

    # Delivery.

    def receive(self, event: ChannelEvent) -> None:
        """Take an event from the broker."""
        if event_received.has_listeners():
            event_received.send_robust(type(self), channel=event.channel, lag=event.age)
        self._heard = event.number
        batch = Batch([event])
        for feed in self._by_channel.get(event.channel, ()):
            feed.receive(batch)
        if self._rounds.behind > MAX_PENDING:
            self.gap()


_hubs: dict[asyncio.AbstractEventLoop, dict[Broker, Hub]] = {}
after_fork(_hubs.clear)


def _forget(loop: asyncio.AbstractEventLoop, broker: Broker) -> None:
    hubs = _hubs.get(loop, {})
    hubs.pop(broker, None)
    if not hubs:
        _hubs.pop(loop, None)


def hub_of(broker: Broker) -> Hub:
    """Return the hub of the running loop."""
    for loop in [loop for loop in _hubs if loop.is_closed()]:
        del _hubs[loop]  # nobody has left it, and nobody can
    loop = asyncio.get_running_loop()
    hubs = _hubs.setdefault(loop, {})
    if broker not in hubs:
        hubs[broker] = Hub(broker, loop)
    return hubs[broker]


def subscriber_counts() -> dict[str, int]:
    """Return how many subscribers each channel has in this process."""
    counts: Counter[str] = Counter()
    for loop, hubs in list(_hubs.items()):
        for hub in list(hubs.values()) if not loop.is_closed() else []:
            counts.update(hub.count())
    return dict(counts)
