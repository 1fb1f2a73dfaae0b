"""Custom brokers."""

import asyncio
from collections.abc import Collection

from adrf_sse.brokers import Broker, get_broker
from adrf_sse.brokers.base import Listener, Receiver
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.brokers.messages import ChannelEvent, Page, Trimmed, page_of
from adrf_sse.brokers.postgres import PostgresBroker
from adrf_sse.brokers.redis import RedisBroker
from adrf_sse.exceptions import BrokerUnavailable


class CountingBroker(MemoryBroker):
    """Count the published events."""

    def __init__(self, *, start: int = 0) -> None:
        super().__init__()
        self.published = start

    def publish(self, channel: str, body: bytes) -> int:
        self.published += 1
        return super().publish(channel, body)


class ListListener:
    def __init__(self, broker: "ListBroker", receiver: Receiver) -> None:
        self._broker = broker
        self._receiver = receiver

    async def subscribe(self, channels: Collection[str]) -> None:
        for event in self._broker.events:
            if event.channel in channels:
                self._receiver.receive(event)
        self._receiver.resync()

    async def unsubscribe(self, channels: Collection[str]) -> None:
        pass

    async def aclose(self) -> None:
        pass


class ListBroker(Broker):
    """Keep all events in a list."""

    process_local = True

    def __init__(self) -> None:
        self.events: list[ChannelEvent] = []

    def publish(self, channel: str, body: bytes) -> int:
        if len(self.events) > 1000:
            raise BrokerUnavailable("The list is full.")
        event = ChannelEvent(channel, len(self.events) + 1, body)
        self.events.append(event)
        return event.number

    async def apublish(self, channel: str, body: bytes) -> int:
        return self.publish(channel, body)

    def position(self) -> int:
        return len(self.events)

    async def aposition(self) -> int:
        return self.position()

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        if after is None:
            return Page([], len(self.events), True)
        parts = [([event for event in self.events[after:] if event.channel == name], False) for name in channels]
        return page_of(parts, position=len(self.events), limit=limit, missed={})

    def joins_transaction(self, alias: str) -> bool:
        return False

    def trim(self) -> Trimmed:
        events = len(self.events)
        self.events.clear()
        return Trimmed(events, runs=0)

    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> Listener:
        return ListListener(self, receiver)


def list_broker() -> Broker:
    return ListBroker()


def memory_broker() -> Broker:
    return MemoryBroker(max_bytes=256 * 1024 * 1024)


def redis_broker() -> Broker:
    return RedisBroker("redis://localhost:6379/0", prefix="shop", sentinels=[("host", 26379)], service="primary", db=1)


def postgres_broker() -> Broker:
    return PostgresBroker("default", listen={"host": "10.0.0.5", "port": 5432})


def is_local() -> bool:
    return get_broker().process_local


def trimmed() -> int:
    trimmed = get_broker().trim()
    return 0 if trimmed is None else trimmed.events + trimmed.runs
