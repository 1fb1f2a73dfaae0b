"""The broker of projects whose database is PostgreSQL: publishing is part of the transaction."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS

from adrf_sse.brokers.base import Broker, Receiver
from adrf_sse.brokers.messages import PAGE_SIZE, ChannelEvent, Page, Trimmed, microseconds_kept
from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.link import Links
from adrf_sse.brokers.postgres.listener import PostgresListener
from adrf_sse.brokers.postgres.queries import PAGE, POSITION, PUBLISH, STAGE
from adrf_sse.brokers.postgres.runs import PostgresRuns
from adrf_sse.brokers.postgres.trimming import trim
from adrf_sse.brokers.runs import CHANNEL_PREFIX
from adrf_sse.runtime.contexts import may_have_connected
from adrf_sse.settings import sse_settings

_STORE = "store the event"


class PostgresBroker(Broker):
    """Carry channels through PostgreSQL, and publish in the transactions of the project.

    ``alias`` is a key of ``DATABASES``. Inside ``atomic()`` on it, an event is delivered when the transaction commits,
    and never after a rollback. ``listen`` overrides parameters of libpq for the one connection of each process that
    receives events, for example ``{"port": 5432}`` to go past a pooler. Raises ``ImproperlyConfigured``.
    """

    def __init__(self, alias: str = DEFAULT_DB_ALIAS, listen: Mapping[str, Any] | None = None) -> None:
        self._database = Database(alias, listen)
        self._listening = Links(self._database, listens=True)
        self._writing = Links(self._database)
        self._runs = PostgresRuns(self._writing)

    def publish(self, channel: str, body: bytes) -> int | None:
        """Store an event, and return its ID; ``None`` in a transaction, whose commit assigns the ID."""
        is_staged = self._database.in_transaction()
        statement = STAGE if is_staged else PUBLISH
        [number] = self._database.query(_STORE, statement, _publishing(channel, body))
        return None if is_staged else int(number)

    async def apublish(self, channel: str, body: bytes) -> int | None:
        """Publish an event as ``publish()`` does, in the transaction of the thread in which Django's ORM would run.

        If there is none, publish over another connection, because on a busy event loop a thread waits for the GIL.
        """
        may_be_in_transaction = may_have_connected() or not self._database.autocommits
        if may_be_in_transaction and await sync_to_async(self._database.in_transaction)():
            return await sync_to_async(self.publish)(channel, body)
        return await self.apublish_now(channel, body)

    async def apublish_now(self, channel: str, body: bytes) -> int:
        """Publish an event over another connection than Django's."""
        [[number]] = await self._writing.here().execute(_STORE, PUBLISH, _publishing(channel, body))
        return int(number)

    def joins_transaction(self, alias: str) -> bool:
        """Return whether the alias is that of the broker."""
        return alias == self._database.alias

    def position(self) -> int:
        """Return the last ID of a transaction that has committed."""
        return int(self._database.query("return its position", POSITION, [])[0])

    async def aposition(self) -> int:
        """Return the last ID, read in a thread, as Django's ORM runs there."""
        return await sync_to_async(self.position)()

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return at most ``limit`` events after an ID."""
        link = self._listening.here()
        if after is None:
            [[position]] = await link.execute("return its position", POSITION)
            return Page([], position, True)
        names = sorted(channels)
        parameters = {
            "after": after,
            "limit": limit,
            "ttl": microseconds_kept(),
            "history": sse_settings.CHANNEL_HISTORY,
            "names": names,
            "whole": [name.startswith(CHANNEL_PREFIX) for name in names],
            "bytes": PAGE_SIZE,
        }
        (position, *_), *rows = await link.execute("return its history", PAGE, parameters)
        found = sorted((number, channel, body, total) for number, channel, body, total in rows if body is not None)
        missed = {channel: number for number, channel, body, _ in rows if body is None}
        events = [ChannelEvent(channel, number, body) for number, channel, body, _ in found]
        return Page(events, position, not found or found[0][3] == len(found), missed)

    def trim(self) -> Trimmed:
        """Delete all that no longer has to be kept. Publishers delete a part of it from time to time."""
        return trim(self._database)

    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> PostgresListener:
        """Return a listener for an event loop."""
        return PostgresListener(self._listening.here(), receiver, self._database)

    @property
    def runs(self) -> PostgresRuns:
        """The runs of all processes that share this database."""
        return self._runs


def _publishing(channel: str, body: bytes) -> list[Any]:
    return [channel, body, sse_settings.CHANNEL_HISTORY, microseconds_kept()]
