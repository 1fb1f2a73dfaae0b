"""Streams that are read to their end before they are answered, for clients that want all events at once."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import PermissionDenied

from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import ServerStopping, SubscriberLagged, TooManyLists
from adrf_sse.runtime.loops import run_on
from adrf_sse.runtime.request_threads import release_request
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.lifecycle import Lifecycle, Phase
from adrf_sse.streams.limits import Limit, Slot, stream_counts
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import Pump, Serialize
from adrf_sse.streams.reports import is_refusal

MAX_EVENTS = 10_000
"""Events in one list at most."""
MAX_BYTES = 8 * 1024 * 1024
"""Bytes of their JSON at most."""
MAX_SECONDS = 60.0
"""Seconds in which a list must be complete: proxies wait about as long for a response to begin."""
MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that a list takes at most while it is parsed and rendered."""
MAX_LISTS = 64
"""Lists of a process at most, from the starts of their sources until they are sent."""

_COUNT = "JSON lists"


def count_lists() -> int:
    """Return how many lists this process collects, renders and sends."""
    return stream_counts.count(_COUNT)


class StreamTooLong(Exception):
    """A stream can't be a list. The message is a sentence for the client."""


class Collector(Lifecycle):
    """Run a source as a stream does, and collect the JSON of its events until its end.

    Each event is encoded when the source yields it, so the list shows the data as it was then. If the source raises,
    whenever that is, there is no list: nothing has been sent, and the error can still be an HTTP error.
    ``measure`` returns how much memory lines take at most when they are rendered.
    """

    __slots__ = ("_chunks", "_events", "_measure", "_memory", "_size", "list_slot")

    def __init__(
        self,
        source: Any,
        options: Options,
        wire_format: WireFormat,
        request: HttpRequest,
        measure: Callable[[bytes], int],
        serialize: Serialize | None = None,
    ) -> None:
        super().__init__(options, wire_format.encoder())
        self._pump = Pump(source, self, FrameBuffer(), self._encode, serialize)
        self.request = request
        self.list_slot: Slot | None = None
        """Counts the list. It is released if there is no list to render; else, what renders and sends it does so."""
        self._measure = measure
        self._chunks: list[bytes] = []
        self._events = self._size = self._memory = 0

    def reserve_list(self) -> None:
        """Count one more list. Discards the source and raises ``TooManyLists`` if there are ``MAX_LISTS``."""
        try:
            self.list_slot = stream_counts.take([Limit(_COUNT, MAX_LISTS, TooManyLists)])
        except TooManyLists:
            self.close()
            raise

    async def collect(self, loop: asyncio.AbstractEventLoop) -> list[bytes]:
        """Read the source to its end on ``loop``, and return its events as JSON, one in each line.

        Raises what the source raised, what a check of reauthorization raised, ``StreamTooLong``, ``ServerStopping``, or
        ``PermissionDenied`` if the client was disconnected. The source is closed in every case, also if this is
        cancelled.
        """
        return await run_on(loop, self._collect())

    def last_frame(self, item: Any) -> bytes:
        """Return no frame: the list ends with its bracket."""
        return b""

    async def source_failed(self, error: Exception) -> None:
        """Keep an exception of the source, to raise it; report it if there is no list to raise it for."""
        if self._pump.stopping:
            await super().source_failed(error)
        elif not isinstance(error, SubscriberLagged):
            self._error = error

    def _check_refused(self, error: Exception) -> None:
        """Raise the error in place of the list."""
        if self.phase < Phase.ENDING:
            self._error = error
            self._end("revoked" if is_refusal(error) else "error")

    async def _collect(self) -> list[bytes]:
        try:
            await self._read_all()
            return self._chunks
        except BaseException:
            if self.list_slot is not None:
                self.list_slot.release()
            raise
        finally:
            self._chunks = []  # an exception refers to this object

    async def _read_all(self) -> None:
        seconds = min(MAX_SECONDS, self._options.max_duration or MAX_SECONDS)
        try:
            await release_request()
            self._start()
            self._start_checks()
            async with asyncio.timeout(seconds):
                await self._read()
        except TimeoutError:
            raise StreamTooLong(f"This stream did not end within {seconds:g} seconds.") from None
        finally:
            await self.aclose()
        if self._reason == "shutdown":
            raise ServerStopping
        if self._error is not None:
            raise self._error
        if self._reason == "revoked":
            raise PermissionDenied

    async def _read(self) -> None:
        buffer = self._pump.buffer
        while not buffer.ended or buffer:
            if lines := buffer.take():
                self._add(lines)
            else:
                await buffer.wait_for_frames()

    def _add(self, lines: bytes) -> None:
        self._events += lines.count(b"\n")
        self._size += len(lines)
        self._memory += self._measure(lines)
        for number, maximum, message in (
            (self._size, MAX_BYTES, "This stream has more than {:,} bytes of events, too many for one list."),
            (self._events, MAX_EVENTS, "This stream has more than {:,} events, too many for one list."),
            (self._memory, MAX_MEMORY, "One list of this stream's events takes more than {:,} bytes of memory."),
        ):
            if number > maximum:
                raise StreamTooLong(message.format(maximum))
        self._chunks.append(lines)
