"""The audiences of one event loop, and the delivery of a broker's events to them."""

import asyncio
from collections import Counter

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels.audience import Audience, Delivery
from adrf_sse.channels.channel import CONTROL_CHANNEL
from adrf_sse.channels.cursor import Cursor, State
from adrf_sse.channels.history import History
from adrf_sse.runtime.by_loop import ByLoop
from adrf_sse.signals import event_received


class Hub(Delivery):
    """Receive events from a broker's listener, and deliver them to each audience that they are for."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._broker = broker
        self._listener = broker.listen(self, loop)
        self._history = History(broker, loop)
        self._audiences: dict[frozenset[str], Audience] = {}
        self._by_channel: dict[str, list[Audience]] = {}
        self._last_received: int | None = None

    # Subscribing

    async def join(self, cursor: Cursor) -> None:
        """Add a cursor to the audience of its channels. It then has to catch up."""
        audience = self._audiences.get(cursor.channels) or self._new_audience(cursor.channels)
        audience.cursors.add(cursor)
        cursor.log = audience
        await self._listener.subscribe(cursor.channels)

    async def reset(self, cursor: Cursor, last_event_id: str | int | None) -> None:
        """Start a cursor at the broker's position, with a ``reset``, because no broker assigns such an ID."""
        cursor.add_reset(await self._history.read(cursor.channels, None), last_event_id)

    async def catch_up(self, cursor: Cursor) -> None:
        """Read one page of history. If it is the last one, the cursor is live."""
        if cursor.state is not State.BEHIND:
            return
        cursor.log.mark(cursor)
        try:
            page = await self._history.read(cursor.channels, cursor.last_id)
        except BaseException:
            cursor.log.move(cursor, None)
            raise
        if cursor.state is State.BEHIND:
            cursor.add_page(page)
            if page.complete and cursor.log.reaches(cursor):
                cursor.go_live()
                return
        # There are more pages, or events after the mark were lost, or the cursor has left.
        cursor.log.move(cursor, None)

    async def leave(self, cursor: Cursor) -> None:
        """Remove a cursor. The last one of a channel unsubscribes from it."""
        audience = self._audiences.get(cursor.channels)
        if audience is None or cursor not in audience.cursors:
            return
        audience.remove(cursor)
        if not audience.cursors:
            await self._remove_audience(audience)

    def count(self) -> dict[str, int]:
        """Return how many subscribers each channel has, without this package's own subscriptions to control streams."""
        return {
            channel: sum(len(audience.cursors) for audience in audiences)
            for channel, audiences in list(self._by_channel.items())
            if channel != CONTROL_CHANNEL
        }

    def _new_audience(self, channels: frozenset[str]) -> Audience:
        audience = self._audiences[channels] = Audience(channels)
        for channel in channels:
            self._by_channel.setdefault(channel, []).append(audience)
        return audience

    async def _remove_audience(self, audience: Audience) -> None:
        del self._audiences[audience.channels]
        for channel in audience.channels:
            self._by_channel[channel].remove(audience)
        silent = [channel for channel in audience.channels if not self._by_channel[channel]]
        for channel in silent:
            del self._by_channel[channel]
        if self._audiences:
            await self._listener.unsubscribe(silent)
        else:
            _hubs.remove(self._broker, self)
            await self._listener.aclose()

    # Delivery

    def receive(self, event: ChannelEvent) -> None:
        """Deliver an event to the audiences of its channel."""
        if event_received.has_listeners():
            event_received.send_robust(type(self), channel=event.channel, lag=event.age)
        self._last_received = event.number
        for audience in self._by_channel.get(event.channel, ()):
            if not audience.append(event):
                audience.resync(event.number)
            else:
                self._due[audience] = None
        self._serve()

    def resync(self) -> None:
        """Let all cursors read history, because events may have been lost."""
        for audience in self._audiences.values():
            audience.resync(self._last_received)


_hubs: ByLoop[Broker, Hub] = ByLoop()


def hub_of(broker: Broker) -> Hub:
    """Return the hub of the running loop."""
    return _hubs.get(broker, lambda: Hub(broker, asyncio.get_running_loop()))


def subscriber_counts() -> dict[str, int]:
    """Return how many subscribers each channel has in this process."""
    counts: Counter[str] = Counter()
    for hub in _hubs.all():
        counts.update(hub.count())
    return dict(counts)
