"""The stream that a synchronous test reads."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

from django.utils.datastructures import CaseInsensitiveMapping

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.testing.portal import Portal
from adrf_sse.testing.stream import StreamEnded, TestStream


class SyncTestStream:
    """The response to one request, as a synchronous test reads it. It has the methods of ``TestStream``.

    The project's synchronous code, and thus its database queries, runs in the test's thread while the test waits in one
    of these methods.
    """

    def __init__(self, stream: TestStream, portal: Portal) -> None:
        self._stream = stream
        self._portal = portal

    def disconnect(self) -> None:
        """Disconnect, and wait until the application has finished the request. Raises the application's exception."""
        self._portal.run(self._stream.disconnect())

    def next(self, timeout: float | None = None) -> ServerSentEvent:
        """Return the next event. Raises ``TimeoutError`` after ``timeout`` seconds, or ``StreamEnded``."""
        return self._portal.run(self._stream.next(timeout))

    def take(self, n: int, timeout: float | None = None) -> list[ServerSentEvent]:
        """Return the next ``n`` events. ``timeout`` is the time in seconds to wait for each of them."""
        return self._portal.run(self._stream.take(n, timeout))

    def next_chunk(self, timeout: float | None = None) -> bytes | None:
        """Return the next body message, which may be a heartbeat, or ``None`` at the end of the response."""
        return self._portal.run(self._stream.next_chunk(timeout))

    def body(self, timeout: float | None = None) -> bytes:
        """Read the response to its end, and return the whole body."""
        return self._portal.run(self._stream.body(timeout))

    def json(self, timeout: float | None = None) -> Any:
        """Read the response to its end, and return the body parsed as JSON."""
        return self._portal.run(self._stream.json(timeout))

    def __iter__(self) -> Iterator[ServerSentEvent]:
        try:
            while True:
                yield self.next()
        except StreamEnded:
            return

    @property
    def status_code(self) -> int:
        """The response's status code."""
        return self._stream.status_code

    @property
    def headers(self) -> CaseInsensitiveMapping[str]:
        """The response's headers."""
        return self._stream.headers

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies that the response sets."""
        return self._stream.cookies

    @property
    def chunks(self) -> list[bytes]:
        """The body messages that the test has read, as the application sent them."""
        return self._stream.chunks

    @property
    def last_event_id(self) -> str | None:
        """The ID that an ``EventSource`` would send as ``Last-Event-ID`` now."""
        return self._stream.last_event_id

    @property
    def retry(self) -> int | None:
        """The reconnection delay in milliseconds that the stream has set, if any."""
        return self._stream.retry
