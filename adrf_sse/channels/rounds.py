"""The order in which subscribers are served: in small groups, one after the other, round and round."""

import asyncio
from collections import deque

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels.batches import Batch
from adrf_sse.channels.subscribers import Subscriber
from adrf_sse.settings import sse_settings
from adrf_sse.streams.buffer import CHUNK_SIZE

GROUP = 64
"""Subscribers of a group, and those that are served in one turn of the event loop."""

BATCH = 256
"""Events at most that a group gets at once, so that each subscriber's server can send them before the next."""


class Group:
    """Hold subscribers that get the same events at the same time."""

    __slots__ = ("subscribers", "waiting")

    def __init__(self) -> None:
        self.subscribers: dict[Subscriber, None] = {}
        self.waiting: list[ChannelEvent] = []
        """Events that have come since the group was served."""

    def serve(self) -> None:
        """Hand on what waits, or as much as may leave at once."""
        if not self.waiting:
            return
        number = self._events_at_once()
        batch = Batch(self.waiting[:number])
        del self.waiting[:number]
        for subscriber in self.subscribers:
            subscriber.receive(batch)

    def _events_at_once(self) -> int:
        limit = max(1, min(BATCH, sse_settings.MAX_SUBSCRIBER_BACKLOG // 2))
        size = number = 0
        for event in self.waiting[:limit]:
            size += len(event.frame)
            if number and size > CHUNK_SIZE:
                break
            number += 1
        return number


class Rounds:
    """Serve a few groups in each turn of the event loop.

    So a lone event leaves at once; with many subscribers the loop stays free for others between the turns, and what is
    published during a round leaves with what each group has yet to get. The more comes, the more leaves together.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: deque[Group] = deque()  # the one that was served last comes last
        self._turn: asyncio.Handle | None = None

    @property
    def behind(self) -> int:
        """Events that wait for the group that comes next."""
        return len(self._due[0].waiting) if self._due else 0

    def add(self, group: Group, events: list[ChannelEvent]) -> None:
        """Let events wait until it is the group's turn."""
        if not group.waiting:
            self._due.append(group)
        group.waiting += events

    def go_on(self) -> None:
        """Begin, where nobody was waiting before."""
        if self._turn is None and self._due:
            self._serve()

    def _serve(self) -> None:
        served = 0
        for _ in range(len(self._due)):
            group = self._due.popleft()
            group.serve()
            if group.waiting:
                self._due.append(group)
            served += len(group.subscribers)
            if served >= GROUP:
                break
        # Behind the readers that were just woken.
        self._turn = self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn = None
        self.go_on()
