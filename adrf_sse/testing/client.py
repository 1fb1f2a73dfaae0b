"""A client that speaks ASGI to the project in process, and can leave while the response is under way."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Self

from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import AsyncClient, AsyncRequestFactory
from django.utils.datastructures import CaseInsensitiveMapping

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.parsers import EventParser

UNREAD_LIMIT = 64 * 1024
"""Bytes that may wait for the test before the server is made to wait, as a real one's socket would."""


class StreamEnded(AssertionError):
    """Say that the stream ended before the event that the test waits for."""


class _Handler(ASGIHandler):
    """Django's ASGI handler in the test's own context, so that it sees the data of the test's transaction.

    As in Django's test clients, the ends of requests leave database connections open.
    """

    open_requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._count(1)
        try:
            await self.handle(scope, receive, send)
        finally:
            self._count(-1)

    @classmethod
    def _count(cls, change: int) -> None:
        before, _Handler.open_requests = cls.open_requests, cls.open_requests + change
        if 0 in (before, cls.open_requests):
            for signal in (request_started, request_finished):
                (signal.disconnect if change > 0 else signal.connect)(close_old_connections)


class EventStreamClient(AsyncRequestFactory):
    """Open streams of the project, or of any ASGI ``application``.

    ``get``, ``post`` and the others take what Django's test clients take, and ``user`` (logged in through a
    session) and ``cookies``. They return a ``TestStream``, to be entered with ``async with``.
    """

    def __init__(self, application: Any = None, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.application = application or _Handler()

    def generic(  # type: ignore[override]
        self,
        method: str,
        path: str,
        *args: Any,
        user: Any = None,
        cookies: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> "TestStream":
        """Make a stream of any method, with a ``user`` to log in and ``cookies`` of its own."""
        stream: TestStream = super().generic(method, path, *args, **kwargs)  # type: ignore[assignment]
        stream.name = f"{method} {path}"
        stream.user = user
        stream.extra_cookies = dict(cookies or {})
        return stream

    def request(self, **request: Any) -> "TestStream":  # type: ignore[override]
        """Make a stream of what Django's factory has prepared."""
        body = request.pop("_body_file", None)
        return TestStream(self.application, self._base_scope(**request), body.read() if body else b"")  # type: ignore[attr-defined]


class TestStream:
    """One request and its response; leaving the block disconnects, and returns when the project has finished."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    status_code: int
    headers: CaseInsensitiveMapping[str]

    def __init__(self, application: Any, scope: dict[str, Any], body: bytes) -> None:
        self.name = ""
        self.user: Any = None
        self.extra_cookies: dict[str, str] = {}
        self.cookies: SimpleCookie = SimpleCookie()
        self.chunks: list[bytes] = []
        """Every body message that the test has taken, as the server sent it."""
        self._application = application
        self._scope = scope
        self._request = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = asyncio.Event()
        self._changed = asyncio.Event()
        self._unread: deque[bytes] = deque()
        self._started = False
        self._ended = False
        self._parser = EventParser()
        self._events: deque[ServerSentEvent] = deque()
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._send_cookies()
        self._task = asyncio.create_task(self._application(self._scope, self._receive, self._send))
        self._task.add_done_callback(self._finish)
        try:
            await self._until(lambda: self._started, 5, "no response")
        except BaseException:
            await self.disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """Leave, and wait until the project has finished with the request; raise what it raised."""
        self._left.set()
        self._changed.set()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._raise_failure(self._task)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._left.set()
        self._ended = True
        self._changed.set()

    # Reading

    async def next(self, timeout: float = 5) -> ServerSentEvent:
        """Return the next event. Raises ``TimeoutError``, or ``StreamEnded``, that says what had arrived by then."""
        while not self._events:
            chunk = await self.next_chunk(timeout)
            if chunk is None:
                raise StreamEnded(f"The stream ended before the event. {self._arrived()}")
            self._events.extend(self._parser.feed(chunk))
        self._seen += 1
        return self._events.popleft()

    async def take(self, n: int, timeout: float = 5) -> list[ServerSentEvent]:
        """Return the next ``n`` events; ``timeout`` is for each of them."""
        return [await self.next(timeout) for _ in range(n)]

    async def next_chunk(self, timeout: float = 5) -> bytes | None:
        """Return the next body message as the server sent it, heartbeats too; ``None`` at the end."""
        await self._until(lambda: bool(self._unread) or self._ended, timeout, "nothing came")
        if not self._unread:
            return None
        chunk = self._unread.popleft()
        self._changed.set()
        self.chunks.append(chunk)
        return chunk

    async def body(self, timeout: float = 5) -> bytes:
        """Read to the end, and return the whole body from its beginning."""
        while await self.next_chunk(timeout) is not None:
            pass
        return b"".join(self.chunks)

    async def json(self, timeout: float = 5) -> Any:
        """Read to the end, and return the body, parsed."""
        return json.loads(await self.body(timeout))

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield await self.next()
        except StreamEnded:
            return

    @property
    def last_event_id(self) -> str | None:
        """What an ``EventSource`` would send as ``Last-Event-ID`` now."""
        return self._parser.last_event_id

    @property
    def retry(self) -> int | None:
        """The reconnection delay in milliseconds that the stream has set."""
        return self._parser.retry

    # ASGI

    async def _send_cookies(self) -> None:
        cookies: SimpleCookie = SimpleCookie()
        if self.user is not None:
            client = AsyncClient()
            await client.aforce_login(self.user)
            cookies.update(client.cookies)
        cookies.load(self.extra_cookies)
        pairs = [f"{morsel.key}={morsel.coded_value}" for morsel in cookies.values()]
        kept = [value.decode() for name, value in self._scope["headers"] if name == b"cookie" and value]
        headers = [header for header in self._scope["headers"] if header[0] != b"cookie"]
        if pairs or kept:
            headers.append((b"cookie", "; ".join(kept + pairs).encode()))
        self._scope["headers"] = headers

    async def _receive(self) -> dict[str, Any]:
        if self._request:
            return self._request.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start(message)
        else:
            if message.get("body"):
                self._unread.append(message["body"])
            self._ended = not message.get("more_body", False)
        self._changed.set()
        await self._wait_for(lambda: self._left.is_set() or sum(map(len, self._unread)) < UNREAD_LIMIT)

    def _start(self, message: dict[str, Any]) -> None:
        pairs = [(name.decode().title(), value.decode("latin-1")) for name, value in message["headers"]]
        for name, value in pairs:
            if name == "Set-Cookie":
                self.cookies.load(value)
        self.headers = CaseInsensitiveMapping(pairs)
        self.status_code = message["status"]
        self._started = True

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for a condition; raise what the application raised where that ended it."""
        assert self._task is not None, "Enter the stream with 'async with' first."
        task = self._task
        try:
            async with asyncio.timeout(timeout):
                await self._wait_for(lambda: condition() or task.done())
        except TimeoutError:
            raise TimeoutError(f"{self.name}: {what} within {timeout:g} s. {self._arrived()}") from None
        if not condition():
            self._raise_failure(task)
            raise StreamEnded(f"{self.name}: {what} before the application ended. {self._arrived()}")

    def _raise_failure(self, task: asyncio.Task[None]) -> None:
        """Raise what the application raised; one that has cancelled itself has let its client go."""
        if not task.cancelled():
            task.result()

    def _arrived(self) -> str:
        if not self._started:
            return "No response had arrived."
        tail = b"".join(self.chunks)[-500:]
        return f"Status {self.status_code} and {self._seen} events had arrived; the last bytes were {tail!r}."
