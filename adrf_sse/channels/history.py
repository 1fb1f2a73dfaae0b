"""The history of channels, read for many subscribers at once."""

import asyncio

from adrf_sse.brokers import Broker
from adrf_sse.brokers.messages import Page
from adrf_sse.brokers.outages import Outage, pause
from adrf_sse.settings import sse_settings

PAGE = 200
"""Events that are read at once."""

_Key = tuple[frozenset[str], int | None]


class _Reading:
    """Hold a page that is asked for, and how many wait for it."""

    def __init__(self, task: asyncio.Task[Page]) -> None:
        self.task = task
        self.waiters = 0


class History:
    """Read pages of a broker's history, one for all who ask for the same at the same time.

    So after an outage, those thousands who were live at the same place read it once.
    """

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._asked: dict[_Key, _Reading] = {}  # until the broker is asked: who comes later may have missed something
        self._outage = Outage("reading the history of channels")

    async def read(self, channels: frozenset[str], after: int | None) -> Page:
        """Return a page, as soon as the broker is there to give it."""
        attempts = 0
        while True:
            try:
                page = await self._page(channels, after)
            except Exception as exc:  # whatever it is, streams stay open, and it is tried again
                self._outage.failed(exc)
                attempts += 1
                await pause(attempts)
            else:
                self._outage.over()
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
        # Scheduled behind all who ask in the same turn of the loop.
        del self._asked[key]
        return await self._broker.read(*key, min(PAGE, sse_settings.MAX_SUBSCRIBER_BACKLOG))
