"""The interface of brokers: they assign IDs, keep history, and deliver events to each process."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, Protocol

from adrf_sse.brokers.messages import ChannelEvent, Page, Trimmed
from adrf_sse.brokers.runs import RunStore


class Receiver(Protocol):
    """What a listener calls, in its event loop."""

    def receive(self, event: ChannelEvent) -> None:
        """Deliver an event. Events arrive in the order of their IDs."""

    def resync(self) -> None:
        """Deliver events from history first, because events may have been lost; from now on none is."""


class Listener(Protocol):
    """What brings a broker's events to one event loop, from the first ``subscribe()`` until ``aclose()``."""

    async def subscribe(self, channels: Collection[str]) -> None:
        """Receive the events of these channels from now on. Waits while the broker is unavailable."""

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from these channels."""

    async def aclose(self) -> None:
        """Receive nothing more, and close the connection."""


class Broker(ABC):
    """Carry channels between publishers and subscribers.

    The ``OPTIONS`` of ``ADRF_SSE["BROKER"]`` are the arguments. IDs are integers that increase over all channels, even
    after a restart that loses everything: each is the time in microseconds, or the last ID plus one.
    """

    process_local: ClassVar[bool] = False
    """Whether it delivers events only in the process that publishes."""

    @abstractmethod
    def publish(self, channel: str, body: bytes) -> int | None:
        """Store an event, deliver it to the subscribers, and return its ID. Raises ``BrokerUnavailable``.

        If it becomes part of a transaction, whose commit assigns the ID, it returns ``None``.
        """

    @abstractmethod
    async def apublish(self, channel: str, body: bytes) -> int | None:
        """Publish an event without blocking the event loop."""

    def joins_transaction(self, alias: str) -> bool:
        """Return whether ``publish()`` becomes part of a transaction on this database, an alias of ``DATABASES``."""
        return False

    async def apublish_now(self, channel: str, body: bytes) -> int | None:
        """Publish an event as part of no transaction, even if the caller is in one. Raises ``BrokerUnavailable``."""
        return await self.apublish(channel, body)

    @abstractmethod
    def position(self) -> int:
        """Return the last ID that the broker has assigned. Raises ``BrokerUnavailable``."""

    @abstractmethod
    async def aposition(self) -> int:
        """Return the last ID without blocking the event loop."""

    @abstractmethod
    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return at most ``limit`` events after an ID; for ``None``, no events but the broker's position.

        The events should not need much more than ``PAGE_SIZE`` bytes. Raises ``BrokerUnavailable``.
        """

    @abstractmethod
    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> Listener:
        """Return a listener for an event loop."""

    def trim(self) -> Trimmed | None:
        """Delete now what no longer has to be kept; ``None`` if the broker deletes it without being asked.

        Raises ``BrokerUnavailable``.
        """
        return None

    @property
    def runs(self) -> RunStore:
        """The runs of all processes that share the broker. Without an implementation, the project can't have runs."""
        raise NotImplementedError(
            f"{type(self).__name__} must have a property runs to keep runs, got none. Use a broker of the package's "
            "own, or implement adrf_sse.brokers.runs.RunStore."
        )
