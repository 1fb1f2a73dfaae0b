"""What carries a broker's events to the subscribers of one event loop, written once for all brokers."""

import asyncio
from weakref import WeakKeyDictionary

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import ChannelEvent, Page
from adrf_sse.brokers.outages import Outage
from adrf_sse.channels.batches import Batch
from adrf_sse.channels.cursors import Cursor
from adrf_sse.channels.rounds import GROUP, Group, Rounds
from adrf_sse.channels.subscribers import Subscriber
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.settings import sse_settings
from adrf_sse.signals import event_received

PAGE = 200
"""Events of history that are read at once."""

MAX_PENDING = 10_000
"""Events that wait for a group's turn, before they are left to the history instead."""


class Feed(Cursor):
    """Hand the events of one set of channels on to all who have subscribed to it."""

    __slots__ = ("_groups", "_rounds", "catching_up", "joining", "subscribers")

    def __init__(self, channels: frozenset[str], rounds: Rounds) -> None:
        super().__init__(channels)
        self.joining: set[Subscriber] = set()
        """Subscribers that read history, and hold what comes."""
        self.subscribers: dict[Subscriber, Group] = {}
        """Subscribers that are live."""
        self.catching_up: asyncio.Task[None] | None = None
        self._groups: list[Group] = []
        self._rounds = rounds

    @property
    def behind(self) -> bool:
        """Whether some have yet to get what has come."""
        return any(group.waiting for group in self._groups)

    def receive(self, batch: Batch) -> None:
        """Take what comes, for all."""
        for subscriber in self.joining:
            subscriber.receive(batch)
        super().receive(batch)

    def hand_on(self, batch: Batch) -> None:
        """Give some events to all who are live, group by group; one that falls behind leaves."""
        for group in self._groups:
            if batch.resets:
                group.reset(batch)
            else:
                self._rounds.add(group, batch.events)
        self._rounds.go_on()

    def joined(self, subscriber: Subscriber) -> None:
        """Give a subscriber that is live now what comes from here on."""
        self.joining.discard(subscriber)
        group = self._group_with_room()
        group.subscribers[subscriber] = None
        self.subscribers[subscriber] = group
        if self.position is None:
            self.position, self.live = subscriber.position, True

    def left(self, subscriber: Subscriber) -> None:
        """Give a subscriber nothing more."""
        self.joining.discard(subscriber)
        group = self.subscribers.pop(subscriber, None)
        if group is None:
            return
        del group.subscribers[subscriber]
        if not group.subscribers:
            self._groups.remove(group)
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
        self._gaps = 0
        self._reading = Outage("reading the history of channels")

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
        if subscriber.live:
            self._feeds[subscriber.channels].joined(subscriber)

    async def leave(self, subscriber: Subscriber) -> None:
        """Give a subscriber nothing more; the last one of a channel ends its subscription."""
        feed = self._feeds.get(subscriber.channels)
        if feed is None:
            return
        feed.left(subscriber)
        if not feed.joining and not feed.subscribers:
            await self._close(feed)

    def count(self) -> dict[str, int]:
        """Return how many subscribers each channel has."""
        return {
            channel: sum(len(feed.joining) + len(feed.subscribers) for feed in feeds)
            for channel, feeds in self._by_channel.items()
        }

    def _open(self, channels: frozenset[str]) -> Feed:
        feed = self._feeds[channels] = Feed(channels, self._rounds)
        for channel in channels:
            self._by_channel.setdefault(channel, []).append(feed)
        return feed

    async def _close(self, feed: Feed) -> None:
        del self._feeds[feed.channels]
        if feed.catching_up is not None:
            feed.catching_up.cancel()
        for channel in feed.channels:
            self._by_channel[channel].remove(feed)
        silent = [channel for channel in feed.channels if not self._by_channel[channel]]
        for channel in silent:
            del self._by_channel[channel]
        if self._feeds:
            await self._link.remove(silent)
        else:
            _hubs[self._loop].pop(self._broker, None)
            await self._link.aclose()

    # History.

    async def read(self, channels: frozenset[str], after: int | None) -> tuple[Page, bool]:
        """Read a page of history, as soon as the broker is there to give it, and say whether it meets what comes."""
        while True:
            gaps = self._gaps
            try:
                page = await self._broker.read(channels, after, min(PAGE, sse_settings.MAX_SUBSCRIBER_BACKLOG))
            except BrokerUnavailable as exc:
                self._reading.failed(exc)
                await self._reading.pause()
            else:
                self._reading.over()
                return page, gaps == self._gaps

    def gap(self) -> None:
        """Have every feed catch up from history."""
        self._gaps += 1
        for feed in self._feeds.values():
            feed.live = False
            if feed.position is not None and feed.catching_up is None:
                feed.catching_up = self._loop.create_task(self._catch_up(feed))

    async def _catch_up(self, feed: Feed) -> None:
        try:
            while not feed.live:
                if feed.behind:
                    await asyncio.sleep(0)  # each turn of the loop serves some
                else:
                    await feed.advance(self.read)
        finally:
            feed.catching_up = None

    # Delivery.

    def receive(self, event: ChannelEvent) -> None:
        """Take an event from the broker."""
        if event_received.has_listeners():
            event_received.send_robust(type(self), channel=event.channel, lag=event.age)
        batch = Batch([event])
        for feed in self._by_channel.get(event.channel, ()):
            feed.receive(batch)
        if self._rounds.behind > MAX_PENDING:
            self.gap()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Broker, Hub]] = WeakKeyDictionary()


def hub_of(broker: Broker) -> Hub:
    """Return the hub of the running loop."""
    loop = asyncio.get_running_loop()
    hubs = _hubs.setdefault(loop, {})
    if broker not in hubs:
        hubs[broker] = Hub(broker, loop)
    return hubs[broker]


def subscriber_counts() -> dict[str, int]:
    """Return how many subscribers each channel has in this process."""
    counts: dict[str, int] = {}
    for hubs in list(_hubs.values()):
        for hub in list(hubs.values()):
            for channel, count in hub.count().items():
                counts[channel] = counts.get(channel, 0) + count
    return counts
