"""Clients of Redis, through redis-py: the only module that imports it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Collection
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, finalize

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers.options import valid_option
from adrf_sse.documentation import page
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.validators import or_none, seconds

try:
    import redis
    import redis.asyncio
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.asyncio.sentinel import Sentinel as AsyncSentinel
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel
except ImportError as exc:
    raise ImportError("RedisBroker needs redis-py, which is not installed. Run: pip install 'adrf-sse[redis]'") from exc

CONCURRENT_COMMANDS = 8
"""Commands of each script that one event loop runs at a time, each on a connection of its own."""

TIMEOUT = 5.0
"""Seconds that Redis may take to answer, and to accept a connection, by default."""

_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")

# By words of Redis, because redis-py removes the codes of most errors.
_HINTS = {
    "OutOfMemoryError": "Raise its maxmemory, or keep less with CHANNEL_HISTORY and CHANNEL_TTL",
    "maxmemory": "Raise its maxmemory, or keep less with CHANNEL_HISTORY and CHANNEL_TTL",
    "Authentication required": "Give the password in the URL",
    "AuthenticationError": "Correct the user and password in the URL",
    "WRONGPASS": "Correct the user and password in the URL",
    "invalid username-password": "Correct the user and password in the URL",
    "no permissions": f"Allow its user the documented commands, keys and channels ({page('brokers/redis#acl')})",
    "CERTIFICATE_VERIFY_FAILED": "Give the authority that signed its certificate as the option ssl_ca_certs",
    "read only replica": "Connect to the primary, not to a replica",
}

_EXPECTED = "ADRF_SSE['BROKER']['OPTIONS'] must be what redis-py takes"
_ADVICE = (
    "Correct the URL or the options. A URL is redis://user:password@host:6379/0, and special characters in the "
    "password must be percent-encoded."
)

_ERRORS = (redis.RedisError, OSError)

_Result = TypeVar("_Result")

_open: set["_LoopClient"] = set()
"""Kept until their loop ends, even if the settings name another broker before."""


def _timeout(name: str, value: Any) -> float | None:
    timeout: float | None = valid_option(or_none(seconds), name, value)
    return timeout


class RedisClient:
    """Run ``scripts`` in Redis, synchronously and asynchronously, and open connections for pub/sub.

    With ``sentinels`` and ``service``, the primary is found through Sentinel. Raises ``ImproperlyConfigured`` for
    invalid options.
    """

    def __init__(
        self,
        url: str,
        sentinels: Collection[tuple[str, int]] | None,
        service: str | None,
        options: dict[str, Any],
        scripts: Collection[str],
    ) -> None:
        self._url, self._sentinels, self._service = url, sentinels, service
        timeouts = {name: _timeout(name, options.get(name, TIMEOUT)) for name in _TIMEOUTS}
        self._options = {**options, **timeouts}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient] = WeakKeyDictionary()
        try:
            if not isinstance(url, str):
                raise TypeError(f"url must be a str, not a {type(url).__name__}.")
            if (sentinels is None) != (service is None):
                raise TypeError("sentinels and service go together.")
            self._client = self._new(redis.Redis, Sentinel, Retry)
            pool = self._client.connection_pool
            # redis-py creates connections when they are needed, but wrong options must be reported now.
            pool.connection_class(**pool.connection_kwargs)
            self.database = str(int(pool.connection_kwargs.get("db") or 0))
            """The number of the database."""
            self._scripts = {script: self._client.register_script(script) for script in scripts}
            # Otherwise, Python may collect the sockets first, and warn that they are open.
            finalize(self, pool.disconnect).atexit = False
        except TypeError as exc:
            raise ImproperlyConfigured(f"{_EXPECTED}, got an error: {exc} {_ADVICE}") from exc
        except (ValueError, OverflowError):
            # redis-py's message may contain a part of the password.
            raise ImproperlyConfigured(f"{_EXPECTED}, got a URL or an option that it can't read. {_ADVICE}") from None
        self.timeout = _timeout("socket_timeout", pool.connection_kwargs["socket_timeout"])  # perhaps of the URL
        """Seconds that Redis may take to answer."""

    def run(self, script: str, action: str, **arguments: Any) -> Any:
        """Run a script. Raises ``BrokerUnavailable`` that says that Redis must do the ``action``."""
        try:
            return self._scripts[script](**arguments)
        except _ERRORS as exc:
            raise self.unavailable(action, exc) from exc

    async def arun(self, script: str, action: str, **arguments: Any) -> Any:
        """Run a script without blocking the event loop."""
        client = await self._loop_client()
        try:
            return await client.run(script, arguments)
        except _ERRORS as exc:
            raise self.unavailable(action, exc) from exc

    async def connect(self) -> "PubSubConnection":
        """Return a connection for pub/sub."""
        client = self._new_async()
        try:
            return PubSubConnection(self, client, await _cancellable(client.connection_pool.get_connection()))
        except BaseException as exc:
            await _close(client)
            if isinstance(exc, _ERRORS):
                raise self.unavailable("accept a connection", exc) from exc
            raise

    def unavailable(self, action: str, exc: Exception) -> BrokerUnavailable:
        """Return the error that says what Redis must do, what it did, and what to check."""
        error = f"{type(exc).__name__}: {exc}".rstrip(".")
        hints = (hint for words, hint in _HINTS.items() if words in error)
        hint = next(hints, "Check that it runs and can be reached")
        where = self._client.connection_pool.connection_kwargs
        place = self._service or where.get("path") or f"{where.get('host')}:{where.get('port')}"
        return BrokerUnavailable(f"Redis at {place} must {action}, got {error}. {hint}.")

    def _new(self, client: Any, sentinel: Any, retry: Any) -> Any:
        """Return a client, synchronous or not. It retries nothing: a command that failed may have been executed."""
        given = {**self._options, "retry": retry(NoBackoff(), 0), "protocol": 2, "decode_responses": False}
        if self._sentinels is None:
            return client.from_url(self._url, **given)
        manager = sentinel(self._sentinels, **given)
        return manager.master_for(self._service, redis_class=client)

    def _new_async(self) -> Any:
        return self._new(redis.asyncio.Redis, AsyncSentinel, AsyncRetry)

    async def _loop_client(self) -> "_LoopClient":
        """Return the running loop's client, which is closed with the loop."""
        loop = asyncio.get_running_loop()
        client = self._loops.get(loop)
        if client is None:
            # An event loop that ends closes the asynchronous generators that were started in it.
            lifetime = self._lifetime(loop)
            client = await anext(lifetime)
            client.lifetime = lifetime
        return client

    async def _lifetime(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator["_LoopClient", None]:
        client = self._loops[loop] = _LoopClient(self._new_async(), self._scripts, self.timeout)
        _open.add(client)
        try:
            yield client
        finally:
            _open.discard(client)
            self._loops.pop(loop, None)
            await _close(client.client)


class _LoopClient:
    """Run scripts for one event loop."""

    def __init__(self, client: Any, scripts: Collection[str], timeout: float | None) -> None:
        self.client = client
        self.lifetime: AsyncGenerator[_LoopClient, None] | None = None
        self._timeout = timeout
        # A semaphore for each script, so that readers and publishers do not wait for each other.
        self._scripts = {
            script: (client.register_script(script), asyncio.Semaphore(CONCURRENT_COMMANDS)) for script in scripts
        }

    async def run(self, script: str, arguments: dict[str, Any]) -> Any:
        """Run a script when it is its turn. Raises ``TimeoutError`` if that takes too long."""
        command, turn = self._scripts[script]
        async with asyncio.timeout(self._timeout):
            await turn.acquire()
        try:
            return await _cancellable(command(**arguments))
        finally:
            turn.release()


class PubSubConnection:
    """A connection that receives what is published.

    It uses redis-py's ``Connection``, and not its ``PubSub``, which may reconnect and subscribe again by itself, and so
    hide that events were lost.
    """

    def __init__(self, owner: RedisClient, client: Any, connection: Any) -> None:
        self._owner = owner
        self._client = client
        self._connection = connection

    async def send(self, *command: str) -> None:
        """Send a command. If the task is cancelled meanwhile, the connection is closed."""
        try:
            if not self._connection.is_connected:  # otherwise, redis-py would connect again, and hide that
                raise redis.ConnectionError("a closed connection")
            await _cancellable(self._connection.send_command(*command, check_health=False))
        except _ERRORS as exc:
            raise self._owner.unavailable("accept subscriptions", exc) from exc

    async def receive(self, timeout: float | None) -> Any:
        """Return a reply, or ``None`` if none arrives within ``timeout`` seconds."""
        try:
            return await self._connection.read_response(disable_decoding=True, timeout=timeout)
        except _ERRORS as exc:
            raise self._owner.unavailable("stay connected", exc) from exc

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)
        await _close(self._client)


async def _cancellable(operation: Awaitable[_Result]) -> _Result:
    """Await an operation of redis-py. Raises ``CancelledError`` if the task is cancelled, even if redis-py goes on.

    redis-py sends with ``asyncio.wait_for()``, which may drop a cancellation before Python 3.12 (bpo-37658).
    """
    task = asyncio.current_task()
    assert task is not None
    requests = task.cancelling()
    try:
        return await operation
    finally:
        if task.cancelling() > requests:
            raise asyncio.CancelledError


async def _close(client: Any) -> None:
    """Close a client's connections, and those to the sentinels that it has asked.

    If the task is cancelled meanwhile, as each task is when an event loop ends, they are closed before it ends.
    """
    manager = getattr(client.connection_pool, "sentinel_manager", None)  # only with Sentinel
    to_close = [client, *(manager.sentinels if manager is not None else ())]
    cancelled = None
    while to_close:
        try:
            await to_close[-1].aclose()
            to_close.pop()
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
