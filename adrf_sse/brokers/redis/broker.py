"""The broker of many processes and machines: Redis 6.2 or newer, or Valkey, through redis-py."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers.base import Broker, Inbox
from adrf_sse.brokers.messages import ChannelEvent, Page, kept_for, page_of, share
from adrf_sse.brokers.redis.listener import RedisLink
from adrf_sse.brokers.redis.scripts import PUBLISH, READ
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.settings import sse_settings

try:
    import redis
    import redis.asyncio
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.asyncio.sentinel import Sentinel as AsyncSentinel
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel
except ImportError as exc:
    raise ImportError("RedisBroker needs redis-py, got none. Run: pip install 'adrf-sse[redis]'") from exc

COMMANDS_AT_ONCE = 8
"""Commands that one event loop has under way, each on a connection of its own."""

PAGE_SIZE = 1024 * 1024
"""Bytes of history that are read at once, unless single events are larger."""

TIMEOUT = 5.0
"""Seconds that Redis may take to answer, and to be connected to, where ``OPTIONS`` say nothing else."""

# By words of Redis's, since redis-py leaves out the codes of most errors.
_HINTS = {
    "OutOfMemoryError": "Raise its maxmemory, or keep less with CHANNEL_HISTORY and CHANNEL_TTL",
    "maxmemory": "Raise its maxmemory, or keep less with CHANNEL_HISTORY and CHANNEL_TTL",
    "Authentication required": "Give the password in the URL",
    "AuthenticationError": "Correct the user and password in the URL",
    "WRONGPASS": "Correct the user and password in the URL",
    "invalid username-password": "Correct the user and password in the URL",
    "no permissions": "Allow its user the commands, keys and channels that docs/channels.md lists",
    "CERTIFICATE_VERIFY_FAILED": "Give the authority that signed its certificate as the option ssl_ca_certs",
    "read only replica": "Connect to the primary, not to a replica",
}


_open: set["_Commands"] = set()
"""Kept until their loop ends, also where the settings name another broker before."""


class RedisBroker(Broker):
    """Carry channels through Redis: one round trip publishes, one connection for each process hears.

    ``url`` is what redis-py takes: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://``. With
    ``sentinels``, pairs of host and port, and ``service``, the primary is found through Sentinel. ``prefix`` starts
    every key and channel. Other options go to redis-py's connections. All keys share one cluster slot, but Redis
    Cluster itself is not supported. Raises ``ImproperlyConfigured`` for options that redis-py refuses.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "adrf_sse",
        sentinels: Collection[tuple[str, int]] | None = None,
        service: str | None = None,
        **connection: Any,
    ) -> None:
        self._url, self._sentinels, self._service = url, sentinels, service
        self._connection = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **connection}
        self._prefix = f"{{{prefix}}}"
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Commands] = WeakKeyDictionary()
        try:
            if (sentinels is None) != (service is None):
                raise ValueError("sentinels and service go together.")
            self._client = self._made(redis.Redis, Sentinel, Retry)
            pool = self._client.connection_pool
            # Connections are made when they are needed; wrong options shall be heard of now.
            pool.connection_class(**pool.connection_kwargs)
        except (TypeError, ValueError) as exc:
            raise ImproperlyConfigured(
                f"ADRF_SSE['BROKER']['OPTIONS'] must be what redis-py takes, got an error: {exc} "
                "Correct the URL or the options."
            ) from exc
        # Pub/sub knows no database numbers.
        self._channel = f"{self._prefix}:{pool.connection_kwargs.get('db') or 0}:"
        self._publish = self._client.register_script(PUBLISH)

    def publish(self, channel: str, body: bytes) -> int:
        """Keep an event, hand it to the subscribers of every process, and return its id."""
        try:
            return int(self._publish(**self._publishing(channel, body)))
        except (redis.RedisError, OSError) as exc:
            raise self._unavailable("take the event", exc) from exc

    async def apublish(self, channel: str, body: bytes) -> int:
        """Do the same without blocking the event loop."""
        commands = await self._commands()
        try:
            return int(await commands.run(commands.publish, **self._publishing(channel, body)))
        except (redis.RedisError, OSError) as exc:
            raise self._unavailable("take the event", exc) from exc

    async def read(self, channels: Collection[str], after: int | None, limit: int) -> Page:
        """Return what is kept after an id."""
        names = sorted(channels)
        keys = [f"{self._prefix}:state", *map(self._history, names)]
        number = share(limit, len(names))
        arguments = ["" if after is None else after, number, kept_for(), PAGE_SIZE // len(names)]
        commands = await self._commands()
        try:
            position, missed_until, found = await commands.run(commands.read, keys=keys, args=arguments)
        except (redis.RedisError, OSError) as exc:
            raise self._unavailable("give its history", exc) from exc
        parts = [([_event(names[index], entry) for entry in entries], bool(more)) for index, more, entries in found]
        return page_of(parts, position=int(position), limit=limit, missed_until=int(missed_until))

    def link(self, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> RedisLink:
        """Return a link to an event loop."""
        return RedisLink(self._wire, inbox, prefix=self._channel, silence=self._connection["socket_timeout"])

    def _history(self, channel: str) -> str:
        return f"{self._prefix}:history:{channel}"

    def _publishing(self, channel: str, body: bytes) -> dict[str, Any]:
        return {
            "keys": [f"{self._prefix}:state", self._history(channel)],
            "args": [self._channel + channel, body, sse_settings.CHANNEL_HISTORY, kept_for()],
        }

    def _made(self, client: Any, sentinel: Any, retry: Any) -> Any:
        """Make a client, synchronous or not. It tries nothing twice: what failed may have been done."""
        given = {**self._connection, "retry": retry(NoBackoff(), 0), "protocol": 2, "decode_responses": False}
        if self._sentinels is None:
            return client.from_url(self._url, **given)
        manager = sentinel(self._sentinels, **given)
        return manager.master_for(self._service, redis_class=client)

    def _made_async(self) -> Any:
        return self._made(redis.asyncio.Redis, AsyncSentinel, AsyncRetry)

    async def _commands(self) -> "_Commands":
        """Return the running loop's client, which is closed with the loop."""
        loop = asyncio.get_running_loop()
        commands = self._loops.get(loop)
        if commands is None:
            # An event loop closes the asynchronous generators that it has begun when it is shut down.
            lifetime = self._lifetime(loop)
            commands = await anext(lifetime)
            commands.lifetime = lifetime
        return commands

    async def _lifetime(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator["_Commands", None]:
        commands = self._loops[loop] = _Commands(self._made_async(), self._connection["socket_timeout"])
        _open.add(commands)
        try:
            yield commands
        finally:
            _open.discard(commands)
            self._loops.pop(loop, None)
            await _close(commands.client)

    async def _wire(self) -> "_Wire":
        client = self._made_async()
        try:
            return _Wire(self, client, await client.connection_pool.get_connection())
        except BaseException as exc:
            await _close(client)
            if isinstance(exc, redis.RedisError | OSError):
                raise self._unavailable("let itself be connected to", exc) from exc
            raise

    def _unavailable(self, what: str, exc: Exception) -> BrokerUnavailable:
        error = f"{type(exc).__name__}: {exc}".rstrip(".")
        hints = (hint for sign, hint in _HINTS.items() if sign in error)
        hint = next(hints, "Check that it runs and can be reached")
        where = self._client.connection_pool.connection_kwargs
        place = self._service or where.get("path") or f"{where.get('host')}:{where.get('port')}"
        return BrokerUnavailable(f"Redis at {place} must {what}, got {error}. {hint}.")


class _Commands:
    """What one event loop sends commands with."""

    def __init__(self, client: Any, patience: float | None) -> None:
        self.client = client
        self.publish = client.register_script(PUBLISH)
        self.read = client.register_script(READ)
        self.lifetime: AsyncGenerator[_Commands, None] | None = None
        self._patience = patience
        # Readers and publishers do not wait for each other.
        self._turns = {script: asyncio.Semaphore(COMMANDS_AT_ONCE) for script in (self.publish, self.read)}

    async def run(self, script: Any, **given: Any) -> Any:
        """Run a script when it is its turn. Raises ``TimeoutError`` where that takes too long."""
        turn = self._turns[script]
        async with asyncio.timeout(self._patience):
            await turn.acquire()
        try:
            return await script(**given)
        finally:
            turn.release()


class _Wire:
    """A connection that hears what is published."""

    def __init__(self, broker: RedisBroker, client: Any, connection: Any) -> None:
        self._broker = broker
        self._client = client
        self._connection = connection

    async def send(self, *command: str) -> None:
        """Send a command."""
        try:
            await self._connection.send_command(*command, check_health=False)
        except (redis.RedisError, OSError) as exc:
            raise self._broker._unavailable("take subscriptions", exc) from exc

    async def receive(self, timeout: float | None) -> Any:
        """Return a reply, or ``None`` where none comes in time."""
        try:
            return await self._connection.read_response(disable_decoding=True, timeout=timeout)
        except (redis.RedisError, OSError) as exc:
            raise self._broker._unavailable("stay connected", exc) from exc

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)
        await _close(self._client)


async def _close(client: Any) -> None:
    """Close a client's connections, and those to the sentinels that it asked."""
    await client.aclose()
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()


def _event(channel: str, entry: Any) -> ChannelEvent:
    number, fields = entry
    return ChannelEvent(channel, int(number.partition(b"-")[0]), fields[3])
