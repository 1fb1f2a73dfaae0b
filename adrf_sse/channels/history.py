"""The history of channels, read for many cursors at once."""

import asyncio
from contextlib import nullcontext

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import Page
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.settings import sse_settings

PAGE = 100
"""Events in one page at most."""

READ_AT_ONCE = 2
"""Pages that an event loop reads at the same time at most, so that replays leave the broker time for publishers."""

_Key = tuple[frozenset[str], int | None]


class _Reading:
    """A page that is being read, and the number of cursors that wait for it."""

    def __init__(self, task: asyncio.Task[Page]) -> None:
        self.task = task
        self.waiters = 0


class History:
    """Read pages of a broker's history, a few at a time. Cursors that ask for the same page at the same time share it.

    So after an outage, the thousands of cursors that were live read the same page once. Other pages are read in the
    order in which cursors have asked for them. A cursor asks for its next page when its client has read the one before.
    """

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        # Only until the broker is asked: a later cursor may have missed an event that the page does not contain.
        self._asked: dict[_Key, _Reading] = {}
        self._turns = asyncio.Semaphore(READ_AT_ONCE)
        self._outage = Outage("reading the history of channels")

    async def read(self, channels: frozenset[str], after: int | None) -> Page:
        """Return the page after an ID. Waits while the broker is unavailable."""
        attempts = 0
        while True:
            try:
                page = await self._page(channels, after)
            except Exception as exc:  # whatever it is, streams stay open, and it is tried again
                self._outage.failed(exc)
                attempts += 1
                await wait_before_attempt(attempts)
            else:
                self._outage.succeeded()
                return page

    async def _page(self, channels: frozenset[str], after: int | None) -> Page:
        key = (channels, after)
        reading = self._asked.get(key)
        if reading is None:
            reading = self._asked[key] = _Reading(self._loop.create_task(self._ask(key)))
        reading.waiters += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiters -= 1
            if not reading.waiters:
                reading.task.cancel()
                if self._asked.get(key) is reading:
                    del self._asked[key]

    async def _ask(self, key: _Key) -> Page:
        # The task begins after all that ask in this turn of the event loop.
        is_position = key[1] is None  # which costs nothing
        async with nullcontext() if is_position else self._turns:
            del self._asked[key]
            return await self._broker.read(*key, min(PAGE, sse_settings.MAX_SUBSCRIBER_BACKLOG))
