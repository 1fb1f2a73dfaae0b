"""The broker of many processes and machines: Redis 6.2 or newer, or Valkey."""

import asyncio
from collections.abc import Collection
from typing import Any

from adrf_sse.brokers.base import Broker, Receiver
from adrf_sse.brokers.messages import PAGE_SIZE, Page, microseconds_kept
from adrf_sse.brokers.options import valid_option
from adrf_sse.brokers.redis.client import RedisClient
from adrf_sse.brokers.redis.foreign import ForeignData, ForeignEntry
from adrf_sse.brokers.redis.listener import RedisListener
from adrf_sse.brokers.redis.run_scripts import RUN_SCRIPTS
from adrf_sse.brokers.redis.runs import RedisRuns
from adrf_sse.brokers.redis.scripts import PUBLISH, READ
from adrf_sse.settings import sse_settings
from adrf_sse.validators import string


class RedisBroker(Broker):
    """Carry channels through Redis: publishing takes one round trip, and each process receives over one connection.

    ``url`` is a URL of redis-py: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, or ``unix://``. What it
    doesn't contain can be an option: ``host``, ``port``, ``db``, ``password`` and others. With ``sentinels``, pairs of
    host and port, and ``service``, the primary is found through Sentinel. ``prefix`` starts every key and pub/sub
    channel. Other options are passed to redis-py's connections. All keys share one hash slot, but Redis Cluster itself
    is not supported. Raises ``ImproperlyConfigured`` for invalid options.
    """

    def __init__(
        self,
        url: str = "redis://",
        *,
        prefix: str = "adrf_sse",
        sentinels: Collection[tuple[str, int]] | None = None,
        service: str | None = None,
        **connection: Any,
    ) -> None:
        self._client = RedisClient(url, sentinels, service, connection, (PUBLISH, READ, *RUN_SCRIPTS))
        self._foreign = ForeignData()
        self._prefix = f"{{{valid_option(string, 'prefix', prefix)}}}"
        # Pub/sub is shared by all databases of a server.
        self._channel_prefix = f"{self._prefix}:{self._client.database}:"
        self._runs = RedisRuns(self._client, self._prefix, self._channel_prefix)

    def publish(self, channel: str, body: bytes) -> int:
        """Store an event, deliver it to the subscribers of every process, and return its ID."""
        return int(self._client.run(PUBLISH, "store the event", **self._publishing(channel, body)))

    async def apublish(self, channel: str, body: bytes) -> int:
        """Publish an event without blocking the event loop."""
        return int(await self._client.arun(PUBLISH, "store the event", **self._publishing(channel, body)))

    def position(self) -> int:
        """Return the last ID that was assigned."""
        return int(self._client.run(READ, "return its position", **self._asking_position())[0])

    async def aposition(self) -> int:
        """Return the last ID without blocking the event loop."""
        return int((await self._client.arun(READ, "return its position", **self._asking_position()))[0])

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return at most ``limit`` events after an ID."""
        names, missed = sorted(channels), dict[str, int]()
        while True:
            page = await self._read(names, after, limit)
            missed = {**missed, **page.missed}
            events = [event for event in page.events if not isinstance(event, ForeignEntry)]
            if events or page.complete:
                return Page(events, page.position, page.complete, missed)
            after = page.events[-1].number

    async def _read(self, names: list[str], after: int | None, limit: int) -> Page:
        """Return a page that may contain foreign entries."""
        keys = [f"{self._prefix}:state", *(key for name in names for key in self._keys(name))]
        arguments = ["" if after is None else after, limit, microseconds_kept(), PAGE_SIZE]
        result = await self._client.arun(READ, "return its history", keys=keys, args=arguments)
        position, dropped, found, unread = result
        missed = {names[index]: int(number) for index, number in dropped}
        entries = zip(found[::3], found[1::3], found[2::3], strict=True)
        events = [self._foreign.entry(names[index], number, body) for index, number, body in entries]
        return Page(events, int(position), not unread, missed)

    def listen(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> RedisListener:
        """Return a listener for an event loop."""
        return RedisListener(
            self._client.connect,
            receiver,
            prefix=self._channel_prefix,
            silence=self._client.timeout,
            foreign=self._foreign,
        )

    @property
    def runs(self) -> RedisRuns:
        """The runs of all processes that share this Redis."""
        return self._runs

    def _keys(self, channel: str) -> tuple[str, str]:
        """Return the keys of a channel's history and of its large events."""
        return f"{self._prefix}:history:{channel}", f"{self._prefix}:large:{channel}"

    def _asking_position(self) -> dict[str, Any]:
        return {"keys": [f"{self._prefix}:state"], "args": [""]}

    def _publishing(self, channel: str, body: bytes) -> dict[str, Any]:
        return {
            "keys": [f"{self._prefix}:state", *self._keys(channel)],
            "args": [self._channel_prefix + channel, body, sse_settings.CHANNEL_HISTORY, microseconds_kept()],
        }
