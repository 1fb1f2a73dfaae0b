"""What carries a broker's events to the subscribers of one event loop, written once for all brokers."""

import asyncio
from collections.abc import Collection
from weakref import WeakKeyDictionary

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import ChannelEvent, Page
from adrf_sse.brokers.outages import Outage
from adrf_sse.buffers import CHUNK_SIZE
from adrf_sse.channels.batches import Batch
from adrf_sse.channels.cursors import Cursor
from adrf_sse.channels.subscribers import Subscriber
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.settings import sse_settings
from adrf_sse.signals import event_received

PAGE = 200
"""Events of history that are read at once."""

ROUND = 256
"""Events at most that leave in one round, so that each subscriber's server can send them before the next."""

SHORT_ROUND, LONGEST_REST = 0.002, 0.05
"""Seconds: a round that took longer is followed by a rest as long, so that what comes meanwhile leaves together."""

MAX_PENDING = 10_000
"""Events that wait for their round, before they are left to the history instead."""


class Feed(Cursor):
    """Hand the events of one set of channels on to all who have subscribed to it."""

    __slots__ = ("catching_up", "joining", "subscribers")

    def __init__(self, channels: frozenset[str]) -> None:
        super().__init__(channels)
        self.joining: set[Subscriber] = set()
        """Subscribers that read history, and hold what comes."""
        self.subscribers: dict[Subscriber, None] = {}
        """Subscribers that are live."""
        self.catching_up: asyncio.Task[None] | None = None

    def receive(self, batch: Batch) -> None:
        """Take what comes, for all."""
        for subscriber in self.joining:
            subscriber.receive(batch)
        super().receive(batch)

    def hand_on(self, batch: Batch) -> None:
        """Give some events to all who are live; one that falls behind leaves."""
        for subscriber in self.subscribers:
            subscriber.receive(batch)

    def joined(self, subscriber: Subscriber) -> None:
        """Give a subscriber that is live now what comes from here on."""
        self.joining.discard(subscriber)
        self.subscribers[subscriber] = None
        if self.position is None:
            self.position, self.live = subscriber.position, True


class Hub:
    """Deliver in rounds: a lone event leaves at once; what comes while it is sent leaves together in the next round."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._link = broker.link(self, loop)
        self._feeds: dict[frozenset[str], Feed] = {}
        self._by_channel: dict[str, list[Feed]] = {}
        self._pending: list[ChannelEvent] = []
        self._round: asyncio.Handle | None = None
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
        feed.joining.discard(subscriber)
        feed.subscribers.pop(subscriber, None)
        if not feed.joining and not feed.subscribers:
            await self._close(feed)

    def count(self) -> dict[str, int]:
        """Return how many subscribers each channel has."""
        return {
            channel: sum(len(feed.joining) + len(feed.subscribers) for feed in feeds)
            for channel, feeds in self._by_channel.items()
        }

    def _open(self, channels: frozenset[str]) -> Feed:
        feed = self._feeds[channels] = Feed(channels)
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
        self._pending.clear()
        for feed in self._feeds.values():
            feed.live = False
            if feed.position is not None and feed.catching_up is None:
                feed.catching_up = self._loop.create_task(self._catch_up(feed))

    async def _catch_up(self, feed: Feed) -> None:
        try:
            while not feed.live:
                await feed.advance(self.read)
        finally:
            feed.catching_up = None

    # Delivery.

    def receive(self, event: ChannelEvent) -> None:
        """Take an event from the broker."""
        if event_received.has_listeners():
            event_received.send_robust(type(self), channel=event.channel, lag=event.age)
        self._pending.append(event)
        if self._round is None:
            self._deliver()
        elif len(self._pending) > MAX_PENDING:
            self.gap()

    def _deliver(self) -> None:
        """Hand on what is there, and rest until those who got it have sent it."""
        started = self._loop.time()
        for feed, events in self._by_feed(self._next_events()).items():
            feed.receive(Batch(events))
        # Behind the readers that were just woken.
        self._round = self._loop.call_soon(self._rest_after, started)

    def _next_events(self) -> list[ChannelEvent]:
        limit = max(1, min(ROUND, sse_settings.MAX_SUBSCRIBER_BACKLOG // 2))
        size = number = 0
        for event in self._pending[:limit]:
            size += len(event.frame)
            if number and size > CHUNK_SIZE:
                break
            number += 1
        events = self._pending[:number]
        del self._pending[:number]
        return events

    def _by_feed(self, events: Collection[ChannelEvent]) -> dict[Feed, list[ChannelEvent]]:
        feeds: dict[Feed, list[ChannelEvent]] = {}
        for event in events:
            for feed in self._by_channel.get(event.channel, ()):
                feeds.setdefault(feed, []).append(event)
        return feeds

    def _rest_after(self, started: float) -> None:
        took = self._loop.time() - started
        if took < SHORT_ROUND or len(self._pending) >= ROUND:
            self._next_round()
        else:
            self._round = self._loop.call_later(min(took, LONGEST_REST), self._next_round)

    def _next_round(self) -> None:
        self._round = None
        if self._pending:
            self._deliver()


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
