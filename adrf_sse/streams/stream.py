"""One open stream: a source's frames on their way to one client."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from adrf_sse.events.event import END_EVENT, END_ID, ServerSentEvent
from adrf_sse.events.frames import Encode, FrameEncoder, with_id
from adrf_sse.events.wire_formats import WireFormat, event_stream
from adrf_sse.runtime.loops import run_on
from adrf_sse.runtime.request_bodies import release_body
from adrf_sse.runtime.request_threads import finish_in_shared_thread, release_request, share_request_thread
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.failures import FormatError
from adrf_sse.streams.lifecycle import Lifecycle, Phase
from adrf_sse.streams.open_streams import pop_unread
from adrf_sse.streams.options import Options
from adrf_sse.streams.pump import DirectPump, Pump, Serialize
from adrf_sse.streams.sources import DirectSource
from adrf_sse.streams.timers import SendTimeout, Timers
from adrf_sse.streams.wsgi import WSGIReader

_END = ServerSentEvent({}, event=END_EVENT, id=END_ID)
"""The last event of a finite stream without ``end_event``."""


class EventStream(Lifecycle):
    """A stream: it runs a source in a task of its own, and iterates over its frames in chunks.

    It is an asynchronous iterator of ``bytes`` for ASGI, and an iterable for WSGI. Frames that are ready together are
    one chunk. The source starts when the first chunk is requested, or with ``first_event()``, and is paused while the
    bytes of a chunk wait.
    """

    __slots__ = ("is_served", "wire_format")

    def __init__(
        self,
        source: Any,
        options: Options,
        wire_format: WireFormat | None = None,
        *,
        serialize: Serialize | None = None,
        format_error: FormatError | None = None,
    ) -> None:
        self.wire_format = wire_format or event_stream()
        """What encodes the events; server-sent events by default."""
        self.is_served = False
        """Whether Django's handler sends the stream, so that the reader's task ends with the response."""
        super().__init__(options, self.wire_format.encoder(), format_error)
        self._check_end_event()
        self._pump = self._new_pump(source, self._encode, serialize)

    def _new_pump(self, source: Any, encode: Encode, serialize: Serialize | None) -> Pump:
        if isinstance(source, DirectSource) and isinstance(encode, FrameEncoder) and serialize is None:
            return DirectPump(source, self, encode, on_lag=self.disconnect)
        if isinstance(source, DirectSource) and self.wire_format.names:
            source.begin_stream()
        return Pump(source, self, FrameBuffer(), encode, serialize)

    def _check_end_event(self) -> None:
        """Encode ``end_event`` before the stream begins, so that one that can't be encoded is an HTTP error."""
        if self._options.end_event is not None:
            try:
                self._encode(self._options.end_event)
            except (TypeError, ValueError) as exc:
                raise type(exc)(f"end_event must be an event: {exc}") from exc

    def last_frame(self, item: Any) -> bytes:
        """Return the last frame. In a finite stream's response to GET, it has the ID of the end.

        Only an ``EventSource`` reconnects by itself, and it has no other method.
        """
        if self._options.finite and (self.request is None or self.request.method == "GET"):
            if item is None:
                return self._encode(_END) if self.wire_format.names else b""
            item = with_id(item, END_ID)
        return super().last_frame(item)

    @property
    def compress(self) -> bool:
        """Whether the response compresses the stream for clients that accept it. The stream's own chunks never are."""
        return self._options.compress

    # Opening

    @property
    def has_first_event(self) -> bool:
        """Whether there is an event to send, possibly before the source has started."""
        return bool(self._pump.buffer)

    async def first_event(self, loop: asyncio.AbstractEventLoop, *, in_thread: bool = False) -> None:
        """Start the source on ``loop`` and wait for its first event, its end, or ``first_event_timeout``.

        Raises what the source raised before its first event. ``in_thread`` tells that the request's thread waits for
        this call, and therefore can't be released.
        """
        self.loop = loop
        try:
            await run_on(loop, self._first_event(in_thread))
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _first_event(self, in_thread: bool) -> None:
        self._start()
        buffer, timeout = self._pump.buffer, self._options.first_event_timeout
        if timeout and not buffer and not buffer.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wait_for_first_event(buffer, in_thread)
        if self._error is not None:
            self._advance(Phase.CLOSED)
            self._leave()
            raise self._error
        await self._open()

    async def _wait_for_first_event(self, buffer: FrameBuffer, in_thread: bool) -> None:
        await asyncio.sleep(0)  # many sources yield at once
        if not in_thread and not buffer and not buffer.ended:
            await share_request_thread()
        if not buffer and not buffer.ended:
            await buffer.wait_for_frames()

    async def _begin_reading(self) -> None:
        buffer, options = self._pump.buffer, self._options
        if options.retry is not None:
            buffer.put(self._encode(ServerSentEvent(retry=options.retry)), first=True)
        if self.phase is Phase.NEW:
            self._start()
        if self._opened_at is None:
            await self._open()
        if self.phase is Phase.CLOSED:
            return  # by a receiver of stream_opened
        self._timers = Timers(self, options, buffer, self.wire_format.heartbeat)
        self._start_checks()

    # Reading

    async def _leave_request(self) -> None:
        """Release what the request used before its stream, and remember the server's task."""
        pop_unread()
        await release_request()
        self.reader = self.reader or asyncio.current_task()

    def __aiter__(self) -> "EventStream":
        return self

    def __iter__(self) -> Iterator[bytes]:
        return WSGIReader(self, self)

    async def __anext__(self) -> bytes:
        """Wait for frames and return them. A reader in another loop or thread waits for this one's loop."""
        if self.phase is Phase.CLOSED:
            raise StopAsyncIteration
        try:
            if not self.is_read:
                await self._leave_request()
            loop = asyncio.get_running_loop()
            if self.loop not in (None, loop):
                return await run_on(self.loop, self.__anext__())
            if self._timers is None:
                await self._begin_reading()
            while not (chunk := self._pump.buffer.take()):
                if self._pump.buffer.ended:
                    await self._close("completed")
                    raise StopAsyncIteration
                await self._pump.buffer.wait_for_frames()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        self._count(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close the stream, and let its request be finished."""
        try:
            await super().aclose()
        finally:
            if self.reader is asyncio.current_task():
                finish_in_shared_thread()
                self._limit_end()

    def _limit_end(self) -> None:
        """Apply ``send_timeout`` to the end of the response, which also waits until the client reads."""
        if self.is_served and self.reader is not None:
            self.is_served = False  # limited once
            timeout = SendTimeout(self._options.send_timeout)
            timeout.restart()
            self.reader.add_done_callback(lambda _: timeout.stop())

    def _count(self, chunk: bytes) -> None:
        if not self.bytes and self._reauthorization is None:  # permissions may depend on the body
            release_body(self.request)
        self.bytes += len(chunk)
        if self._timers is not None:
            self._timers.sent_at = asyncio.get_running_loop().time()
