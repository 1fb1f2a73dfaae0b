"""Streams that are read to their end before they are answered, for clients that want all events at once."""

import asyncio
import json
from typing import Any

from django.http import HttpRequest

from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import ServerStopping
from adrf_sse.logs import view_name
from adrf_sse.runtime.contexts import release_request
from adrf_sse.runtime.loops import run_on
from adrf_sse.settings import sse_settings
from adrf_sse.streams.open_streams import SHUTDOWN_CLEANUP, open_streams
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import Pump, Serialize

MAX_EVENTS = 10_000
"""Events at most in one list."""
MAX_BYTES = 8 * 1024 * 1024
"""Bytes at most of their JSON."""
MAX_SECONDS = 60.0
"""Seconds at most that a list is waited for: as long as proxies wait for a response to begin."""


class StreamTooLong(Exception):
    """Say, in a sentence for the client, why a stream can't be a list."""


class Collector:
    """Run a source in a task of its own, as a stream does, and keep its events until its end.

    Each is encoded as it comes, so that the list has what the source yielded then, and no more of it than fits. There
    is no list of a source that fails: what it raises, whenever that is, can still be an HTTP error.
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
        self._pump = Pump(source, options, wire_format.encoder(), serialize, collected=True)
        self._pump.request = request
        self._seconds = min(MAX_SECONDS, options.max_duration or MAX_SECONDS)
        self._items: list[Any] = []
        self._size = 0
        self._stopped = False

    @property
    def view_name(self) -> str:
        """The name of its URL pattern, with namespaces; where that has none, the view's dotted path."""
        return view_name(self._pump.request)

    async def collect(self, loop: asyncio.AbstractEventLoop) -> list[Any]:
        """Read the source to its end on ``loop`` and return its events, as what their JSON says.

        Raises what the source raised, ``StreamTooLong``, or ``ServerStopping``. However it ends, cancelled too, the
        source is closed before it does.
        """
        self.loop = loop
        return await run_on(loop, self._collect())

    def shut_down(self) -> None:
        """Give up because the server ends."""
        self._stopped = True
        self._pump.buffer.wake_reader()

    async def _collect(self) -> list[Any]:
        try:
            await release_request()
            self._pump.start()
            open_streams.add(self)
            async with asyncio.timeout(self._seconds):
                await self._read()
        except TimeoutError:
            raise StreamTooLong(f"This stream did not end within {self._seconds:g} seconds.") from None
        finally:
            await self._close()
            open_streams.discard(self)
        if self._stopped:
            raise ServerStopping
        if self._pump.error is not None:
            raise self._pump.error
        return self._items

    async def _read(self) -> None:
        buffer = self._pump.buffer
        while not self._stopped and (buffer or not self._pump.done):
            if buffer:
                self._add(buffer.take())
            else:
                await buffer.frames()

    def _add(self, lines: bytes) -> None:
        self._size += len(lines)
        if self._size > MAX_BYTES:
            raise StreamTooLong(f"This stream has more than {MAX_BYTES:,} bytes of events, too many for one list.")
        self._items += map(json.loads, lines.splitlines())
        if len(self._items) > MAX_EVENTS:
            raise StreamTooLong(f"This stream has more than {MAX_EVENTS:,} events, too many for one list.")

    async def _close(self) -> None:
        """Close the source, where it is open."""
        pump, timeout = self._pump, sse_settings.CLEANUP_TIMEOUT
        pump.buffer.clear()
        if pump.task is None:
            pump.source.discard()
        elif not pump.done:
            await pump.stop(min(SHUTDOWN_CLEANUP, timeout) if self._stopped else timeout)
