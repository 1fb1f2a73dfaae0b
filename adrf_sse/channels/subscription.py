"""Subscriptions: what ``subscribe()`` gives."""

import asyncio
from types import TracebackType

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels.hub import Hub, hub_of
from adrf_sse.channels.names import event_number
from adrf_sse.channels.subscribers import Reader, Sink, Subscriber, Writer


class Subscription:
    """Hold a place in some channels, from entering until leaving: ``async with`` gives an iterator of the events.

    As a source (``return subscribe(…)``) it puts its events into the stream itself, and needs no task for that.
    """

    def __init__(self, channels: frozenset[str], last_event_id: str | int | None) -> None:
        self._channels = channels
        self._last_event_id = last_event_id
        self._number = event_number(last_event_id)
        self._hub: Hub | None = None
        self._subscriber: Subscriber | None = None
        self._catching_up: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"subscribe({', '.join(sorted(self._channels))})"

    async def __aenter__(self) -> "Subscription":
        self._reader = Reader(self._channels, self._number)
        await self._join(self._reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> ChannelEvent:
        """Return the next event. Raises ``SubscriberLagged`` where more than ``MAX_SUBSCRIBER_BACKLOG`` waited."""
        if self._subscriber is None or self._hub is None:
            raise RuntimeError(
                "A subscription must be entered first, got iterated as it is. Use 'async with' around it."
            )
        reader = self._reader
        while (event := reader.pop()) is None:
            if self._hub is None:
                raise StopAsyncIteration  # it was left meanwhile
            if reader.live:
                await reader.ready()
            else:
                await self._hub.advance(reader)
        return event

    async def push_to(self, sink: Sink) -> None:
        """Put the events into a stream, from now on."""
        writer = Writer(self._channels, self._number, sink, self._fell_back)
        await self._join(writer)
        try:
            await self._catch_up(writer)
        except BaseException:
            await self.leave()
            raise
        if writer.position is not None and not writer.lagged:
            # Also who sees no event comes back to where this one was.
            sink.put(b"id: %d\n\n" % writer.position, 0)

    def _fell_back(self, writer: Writer) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(writer))

    async def _catch_up(self, writer: Writer) -> None:
        while self._hub is not None and not writer.live:
            await writer.room()
            await self._hub.advance(writer)

    async def _join(self, subscriber: Subscriber) -> None:
        """Have what comes from here on, and the first page of what was missed."""
        if self._subscriber is not None:
            raise RuntimeError("A subscription must be entered once, got entered again. Call subscribe() anew.")
        self._subscriber, self._hub = subscriber, hub_of(get_broker())
        try:
            await self._hub.join(subscriber)
            await self._start(subscriber, self._hub)
        except BaseException:
            await self.leave()
            raise

    async def _start(self, subscriber: Subscriber, hub: Hub) -> None:
        if self._last_event_id not in (None, "") and self._number is None:
            page, _ = await hub.read(self._channels, None)
            subscriber.reset(page, self._last_event_id)
        await hub.advance(subscriber)

    async def leave(self) -> None:
        """Have nothing more."""
        if self._subscriber is not None and self._hub is not None:
            hub, self._hub = self._hub, None
            if isinstance(self._subscriber, Reader):
                self._subscriber.look()
            if self._catching_up is not None:
                self._catching_up.cancel()
            await hub.leave(self._subscriber)
