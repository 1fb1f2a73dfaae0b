"""The history of channels, read for many cursors at once."""

import asyncio

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import Page
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.settings import sse_settings

PAGE = 200
"""Events in one page at most."""

_Key = tuple[frozenset[str], int | None]


class _Reading:
    """A page that is being read, and the number of cursors that wait for it."""

    def __init__(self, task: asyncio.Task[Page]) -> None:
        self.task = task
        self.waiters = 0


class History:
    """Read pages of a broker's history; cursors that ask for the same page at the same time share it.

    So after an outage, the thousands of cursors that were live read the same page once.
    """

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        # Only until the broker is asked: a later cursor may have missed an event that the page does not contain.
        self._asked: dict[_Key, _Reading] = {}
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
        del self._asked[key]
        return await self._broker.read(*key, min(PAGE, sse_settings.MAX_SUBSCRIBER_BACKLOG))
