"""A request that a test has prepared, and sends when it enters a block."""

from http.cookies import SimpleCookie
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from adrf_sse.testing.portal import Portal
from adrf_sse.testing.request import TestRequest
from adrf_sse.testing.stream import TestStream
from adrf_sse.testing.sync_stream import SyncTestStream


class PendingStream:
    """A request that is sent when its block is entered: ``with`` in synchronous tests, ``async with`` in others.

    Leaving the block disconnects the client and waits until the application has finished the request.
    """

    def __init__(self, application: Any, request: TestRequest, jar: SimpleCookie, timeout: float) -> None:
        self._application = application
        self._request = request
        self._jar = jar
        self._timeout = timeout
        self._stream: TestStream | None = None
        self._portal: Portal | None = None

    async def __aenter__(self) -> TestStream:
        stream = self._new_stream()
        await stream.connect()
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.disconnect()

    def __enter__(self) -> SyncTestStream:
        self._portal = portal = Portal.acquire()
        try:
            stream = self._new_stream()
            portal.run(stream.connect())
        except BaseException:
            portal.release()
            raise
        return SyncTestStream(stream, portal)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None and self._portal is not None:
            if kind is not None and not issubclass(kind, Exception):
                self._portal.interrupt()
            try:
                self._portal.run(self._stream.disconnect())
            finally:
                self._portal.release()

    def _new_stream(self) -> TestStream:
        if self._stream is not None:
            raise RuntimeError(f"{self._request}: Expected a request that was not sent yet. Call the client again.")
        self._stream = TestStream(self._application, self._request, self._jar, self._timeout)
        return self._stream

    if not TYPE_CHECKING:  # type checkers report these attributes themselves

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{self._request}: Expected {name!r} to be used in 'with client.… as stream:', or in 'async with' in "
                "an asynchronous test. The request is sent when the block is entered."
            )
