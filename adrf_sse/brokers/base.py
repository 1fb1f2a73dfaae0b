"""What a broker is: it gives ids, keeps history, and tells each process what is published."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, Protocol

from adrf_sse.brokers.messages import ChannelEvent, Page


class Inbox(Protocol):
    """What a link tells, in its event loop."""

    def receive(self, event: ChannelEvent) -> None:
        """Take an event; they come in the order of their ids."""

    def gap(self) -> None:
        """Learn that events may have been missed, and that from now on none is."""


class Link(Protocol):
    """What carries a broker's events to one event loop, from the first ``add()`` until ``aclose()``."""

    async def add(self, channels: Collection[str]) -> None:
        """Have what is published in these channels from now on; waits for a broker that is away."""

    async def remove(self, channels: Collection[str]) -> None:
        """Have no more of these."""

    async def aclose(self) -> None:
        """Have nothing more, and leave nothing open."""


class Broker(ABC):
    """Carry channels between publishers and subscribers.

    Made with the ``OPTIONS`` of ``ADRF_SSE["BROKER"]`` as arguments. Ids are integers that grow over all channels,
    also over a restart that loses everything: each is the time in microseconds, or one more than the last.
    """

    process_local: ClassVar[bool] = False
    """Whether it reaches only the process that publishes."""

    @abstractmethod
    def publish(self, channel: str, body: bytes) -> int:
        """Keep an event, hand it to the subscribers, and return its id. Raises ``BrokerUnavailable``."""

    @abstractmethod
    async def apublish(self, channel: str, body: bytes) -> int:
        """Do the same without blocking the event loop."""

    @abstractmethod
    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return what is kept after an id, at most ``limit`` events; of ``None``, nothing but the position.

        Raises ``BrokerUnavailable``.
        """

    @abstractmethod
    def link(self, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> Link:
        """Return a link to an event loop."""
