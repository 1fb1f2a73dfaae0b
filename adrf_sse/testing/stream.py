"""The stream that an asynchronous test reads: one request to an ASGI application, and its response."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from http.cookies import SimpleCookie
from typing import Any

from django.utils.datastructures import CaseInsensitiveMapping

from adrf_sse.channels.hub import subscriber_counts
from adrf_sse.documentation import page
from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.parsers import EventParser
from adrf_sse.testing.request import TestRequest

UNREAD_LIMIT = 64 * 1024
"""The number of unread bytes at which ``send()`` waits, as it does in a real server whose socket buffer is full."""


class StreamEnded(AssertionError):
    """The stream ended before the event that the test is waiting for."""


class TestStream:
    """The response to one request, as an asynchronous test reads it.

    ``timeout`` is a number of seconds. Without it, a method waits as long as the ``timeout`` of the client says.
    """

    __test__ = False  # pytest would collect the class because of its name.

    status_code: int
    """The response's status code."""
    headers: CaseInsensitiveMapping[str]
    """The response's headers."""

    def __init__(self, application: Any, request: TestRequest, jar: SimpleCookie, timeout: float) -> None:
        self.cookies: SimpleCookie = SimpleCookie()
        """The cookies that the response sets."""
        self.chunks: list[bytes] = []
        """The body messages that the test has read, as the application sent them."""
        self._application = application
        self._request = request
        self._jar = jar
        self._timeout = timeout
        self._body_sent = False
        self._disconnected = asyncio.Event()
        self._changed = asyncio.Event()
        self._unread: deque[bytes] = deque()
        self._started = False
        self._ended = False
        self._parser = EventParser()
        self._events: deque[ServerSentEvent] = deque()
        self._events_read = 0
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Send the request, and wait for the response's headers, for as long as the client's ``timeout`` says."""
        scope = await self._request.scope()
        self._task = asyncio.create_task(self._application(scope, self._receive, self._send))
        self._task.add_done_callback(self._finish)
        try:
            await self._until(lambda: self._started, None, "no response")
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Disconnect, and wait until the application has finished the request. Raises the application's exception."""
        self._disconnected.set()
        self._changed.set()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._raise_exception_of(self._task)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._disconnected.set()
        self._ended = True
        self._changed.set()

    # Read the response

    async def next(self, timeout: float | None = None) -> ServerSentEvent:
        """Return the next event. Raises ``TimeoutError`` after ``timeout`` seconds, or ``StreamEnded``."""
        while not self._events:
            chunk = await self.next_chunk(timeout)
            if chunk is None:
                raise StreamEnded(f"{self._request}: the stream ended without another event. {self._received()}")
            self._events.extend(self._parser.feed(chunk))
        self._events_read += 1
        return self._events.popleft()

    async def take(self, n: int, timeout: float | None = None) -> list[ServerSentEvent]:
        """Return the next ``n`` events. ``timeout`` is the time in seconds to wait for each of them."""
        return [await self.next(timeout) for _ in range(n)]

    async def next_chunk(self, timeout: float | None = None) -> bytes | None:
        """Return the next body message, which may be a heartbeat, or ``None`` at the end of the response."""
        await self._until(lambda: bool(self._unread) or self._ended, timeout, "no data")
        if not self._unread:
            return None
        chunk = self._unread.popleft()
        self._changed.set()
        self.chunks.append(chunk)
        return chunk

    async def body(self, timeout: float | None = None) -> bytes:
        """Read the response to its end, and return the whole body."""
        while await self.next_chunk(timeout) is not None:
            pass
        return b"".join(self.chunks)

    async def json(self, timeout: float | None = None) -> Any:
        """Read the response to its end, and return the body parsed as JSON."""
        return json.loads(await self.body(timeout))

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield await self.next()
        except StreamEnded:
            return

    @property
    def last_event_id(self) -> str | None:
        """The ID that an ``EventSource`` would send as ``Last-Event-ID`` now."""
        return self._parser.last_event_id

    @property
    def retry(self) -> int | None:
        """The reconnection delay in milliseconds that the stream has set, if any."""
        return self._parser.retry

    # Call the application

    async def _receive(self) -> dict[str, Any]:
        if not self._body_sent:
            self._body_sent = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start(message)
        else:
            if message.get("body"):
                self._unread.append(message["body"])
            self._ended = not message.get("more_body", False)
        self._changed.set()
        await self._wait_for(lambda: self._disconnected.is_set() or sum(map(len, self._unread)) < UNREAD_LIMIT)

    def _start(self, message: dict[str, Any]) -> None:
        pairs = [(name.decode().title(), value.decode("latin-1")) for name, value in message["headers"]]
        for name, value in pairs:
            if name == "Set-Cookie":
                self.cookies.load(value)
        self._jar.update(self.cookies)
        self.headers = CaseInsensitiveMapping(pairs)
        self.status_code = message["status"]
        self._started = True

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _until(self, condition: Callable[[], bool], timeout: float | None, problem: str) -> None:
        """Wait for a condition. Raises the application's exception if the application fails first."""
        timeout = self._timeout if timeout is None else timeout
        assert self._task is not None
        task = self._task
        try:
            async with asyncio.timeout(timeout):
                await self._wait_for(lambda: condition() or task.done())
        except TimeoutError:
            message = f"{self._request}: {problem} within {timeout:g} s. {self._received()}{_commit_hint()}"
            raise TimeoutError(message) from None
        if not condition():
            self._raise_exception_of(task)
            raise StreamEnded(f"{self._request}: {problem} before the application ended. {self._received()}")

    def _raise_exception_of(self, task: asyncio.Task[None]) -> None:
        """Raise the application's exception. An application that cancels its own task only ends the response."""
        if not task.cancelled():
            task.result()

    def _received(self) -> str:
        if not self._started:
            return "Received so far: nothing."
        tail = b"".join(self.chunks)[-500:]
        return f"Received so far: status {self.status_code}, events: {self._events_read}, last bytes: {tail!r}."


def _commit_hint() -> str:
    """Return what to do if the test waits for an event that is published when a transaction commits."""
    channels = sorted(subscriber_counts())
    if not channels:
        return ""
    return (
        f" Subscribed to {', '.join(channels[:3])}{', …' if len(channels) > 3 else ''}. If the event is published in "
        "on_commit(), or is a change of a live list, the test must commit: use the fixture "
        "django_capture_on_commit_callbacks, captureOnCommitCallbacks() of a TestCase, or "
        f"@pytest.mark.django_db(transaction=True). See {page('testing#channels')}"
    )
