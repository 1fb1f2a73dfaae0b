"""Streams that are read to their end before they are answered, for clients that want all events at once."""

import asyncio
import json
from typing import Any

from django.http import HttpRequest

from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import ServerStopping, SubscriberLagged
from adrf_sse.logs import view_name
from adrf_sse.runtime.contexts import release_request
from adrf_sse.runtime.loops import run_on
from adrf_sse.settings import sse_settings
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import Pump, Serialize
from adrf_sse.streams.shutdown import SHUTDOWN_CLEANUP, shutdown

MAX_EVENTS = 10_000
"""Events in one list at most."""
MAX_BYTES = 8 * 1024 * 1024
"""Bytes of their JSON at most."""
MAX_SECONDS = 60.0
"""Seconds in which a list must be complete: proxies wait about as long for a response to begin."""


class StreamTooLong(Exception):
    """A stream can't be a list. The message is a sentence for the client."""


class Collector:
    """Run a source as a stream does, and collect its events until its end.

    Each event is encoded when the source yields it, so the list shows the data as it was then. If the source raises,
    whenever that is, there is no list: nothing has been sent, and the error can still be an HTTP error.
    """

    def __init__(
        self,
        source: Any,
        options: Options,
        wire_format: WireFormat,
        request: HttpRequest,
        serialize: Serialize | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that runs the source, once it has started."""
        self.request: HttpRequest | None = request
        self._buffer = FrameBuffer()
        self._pump = Pump(source, self, self._buffer, wire_format.encoder(), serialize)
        self._seconds = min(MAX_SECONDS, options.max_duration or MAX_SECONDS)
        self._items: list[Any] = []
        self._size = 0
        self._server_stops = False
        self._error: Exception | None = None

    @property
    def view_name(self) -> str:
        """The name of the view's URL pattern, with namespaces; without a name, the view's dotted path."""
        return view_name(self.request)

    async def collect(self, loop: asyncio.AbstractEventLoop) -> list[Any]:
        """Read the source to its end on ``loop``, and return its events as their JSON is parsed.

        Raises what the source raised, ``StreamTooLong``, or ``ServerStopping``. The source is closed in every case,
        also if this is cancelled.
        """
        self.loop = loop
        return await run_on(loop, self._collect())

    def shut_down(self) -> None:
        """Stop collecting because the server stops."""
        self._server_stops = True
        self._buffer.wake_reader()

    async def source_failed(self, error: Exception) -> None:
        """Keep an exception of the source, to raise it."""
        if not isinstance(error, SubscriberLagged):
            self._error = error

    def source_ended(self) -> None:
        """Do nothing: the buffer's end is what is waited for."""

    async def _collect(self) -> list[Any]:
        try:
            await release_request()
            self._pump.start()
            shutdown.track(self)
            async with asyncio.timeout(self._seconds):
                await self._read()
        except TimeoutError:
            raise StreamTooLong(f"This stream did not end within {self._seconds:g} seconds.") from None
        finally:
            await self._close()
            open_streams.discard(self)
        if self._server_stops:
            raise ServerStopping
        if self._error is not None:
            raise self._error
        return self._items

    async def _read(self) -> None:
        while not self._server_stops:
            if lines := self._buffer.take():
                self._add(lines)
            elif self._buffer.ended:
                return
            else:
                await self._buffer.wait_for_frames()

    def _add(self, lines: bytes) -> None:
        self._size += len(lines)
        if self._size > MAX_BYTES:
            raise StreamTooLong(f"This stream has more than {MAX_BYTES:,} bytes of events, too many for one list.")
        self._items += map(json.loads, lines.splitlines())
        if len(self._items) > MAX_EVENTS:
            raise StreamTooLong(f"This stream has more than {MAX_EVENTS:,} events, too many for one list.")

    async def _close(self) -> None:
        timeout = sse_settings.CLEANUP_TIMEOUT
        self._buffer.clear()
        if self._pump.task is None:
            self._pump.discard()
        elif not self._buffer.ended:
            await self._pump.stop(min(SHUTDOWN_CLEANUP, timeout) if self._server_stops else timeout)
