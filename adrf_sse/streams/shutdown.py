"""Shutdown: on SIGTERM and SIGINT, open streams end before the server handles the signal.

They also end when a server replaces the worker without a signal.

Servers wait for open responses, and an endless response never ends. Each server sets its own signal handlers. The
package puts its handler in front of them, ends the streams, and then calls the server's handler.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

from adrf_sse.runtime.loops import running_loop
from adrf_sse.streams.open_streams import OpenStreams, open_streams
from adrf_sse.streams.reconnection import reconnection_delay
from adrf_sse.streams.recycling import watch_recycling

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

_Handler = Callable[[int, FrameType | None], Any]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

SHUTDOWN_PATIENCE = 1.2
"""Seconds that the server's own signal handler waits at most until the streams have ended."""

SHUTDOWN_CLEANUP = 1.0
"""Seconds that a source may take at most to stop when the server stops."""

LAST_BYTES = 0.05
"""Seconds in which servers can send the rest of the responses. Some stop as soon as their handler runs."""

LISTEN_INTERVAL = 1.0
"""Seconds between two searches for new signal handlers."""


class Shutdown:
    """End the open streams when the process receives SIGTERM or SIGINT."""

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams
        self._server_handlers: dict[int, _Handler] = {}
        self._ending: asyncio.Task[None] | None = None
        self._begun = False
        self._ended = 0  # streams that have ended because of the shutdown
        self._calls_server = False
        self._watches_recycling = False
        self._listen_again = 0.0
        self._on_stop: list[Callable[[], Awaitable[None]]] = []
        self._on_second_signal: list[Callable[[], bool]] = []

    @property
    def has_begun(self) -> bool:
        """Whether the server stops."""
        return self._begun

    def on_stop(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await a function while the streams end, before the server handles the signal."""
        self._on_stop.append(callback)

    def on_second_signal(self, callback: Callable[[], bool]) -> None:
        """Call a function at a second signal. If it returns ``True``, what was to be awaited ends soon.

        The server's handler waits until then. Otherwise, it is called at once.
        """
        self._on_second_signal.append(callback)

    def retry(self) -> int:
        """Return a random reconnection delay in milliseconds for the client of a stream that the shutdown ends."""
        return reconnection_delay(self._ended)

    def track(self, stream: "Lifecycle") -> None:
        """Add a stream to the open streams, and end it at shutdown. A stream that starts later ends at once."""
        self._streams.add(stream)
        if self._begun:  # servers still accept requests for a while
            self._ended += 1
            _end(stream)
        self.keep_listening()

    def keep_listening(self) -> None:
        """Listen, and find out at most once in an interval whether something else has set signal handlers meanwhile."""
        if monotonic() < self._listen_again:
            return
        self.listen()
        if threading.current_thread() is threading.main_thread():
            self._listen_again = monotonic() + LISTEN_INTERVAL
            loop = running_loop()
            if loop is not None:  # for handlers that are set after the last stream of the interval
                loop.call_later(LISTEN_INTERVAL, self.listen, context=Context())

    def listen(self) -> None:
        """End the streams when the server stops, from now on. Only the main thread can set signal handlers."""
        if not self._watches_recycling:
            self._watches_recycling = True
            watch_recycling(self.begin)
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            found = signal.getsignal(number)
            if callable(found) and found != self._handle and found is not signal.default_int_handler:
                self._server_handlers[number] = found
                signal.signal(number, self._handle)

    def begin(self) -> None:
        """End the streams, also those that start from now on. May be called in any thread."""
        self._begun = True
        self._end_streams()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._calls_server:
            return  # the server's handler calls the handler that it replaced, which is this one
        self._begun = True
        loop = running_loop()
        if loop is None or self._ending is not None:
            self._end_streams()
            ends_soon = [callback() for callback in self._on_second_signal] if self._ending is not None else []
            if not any(ends_soon):
                self._call_server(number, frame)
        else:
            self._ending = loop.create_task(self._end_and_call_server(number))

    async def _end_and_call_server(self, number: int) -> None:
        try:
            await asyncio.gather(*(callback() for callback in self._on_stop), self._end_and_wait())
        finally:
            try:
                self._call_server(number, None)
            finally:
                self._ending = None

    async def _end_and_wait(self) -> None:
        if not len(self._streams):
            return
        loop = asyncio.get_running_loop()
        readers = [stream.reader for stream in self._streams if stream.reader and stream.reader.get_loop() is loop]
        self._end_streams()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_PATIENCE):
                await self._streams.wait_until_empty()
                if readers:  # the requests have yet to send the ends of their responses
                    await asyncio.wait(readers)
        await asyncio.sleep(LAST_BYTES)

    def _end_streams(self) -> None:
        self._ended = max(self._ended, len(self._streams))
        for stream in self._streams:
            _end(stream)

    def _call_server(self, number: int, frame: FrameType | None) -> None:
        self._calls_server = True
        try:
            self._server_handlers[number](number, frame)
        finally:
            self._calls_server = False


def _end(stream: "Lifecycle") -> None:
    if stream.loop is not None:
        with suppress(RuntimeError):  # its loop is closed
            stream.loop.call_soon_threadsafe(stream.shut_down)


shutdown = Shutdown(open_streams)
