"""Reading under WSGI: from a worker's thread, on the loop that runs the stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from adrf_sse.runtime.contexts import close_connections
from adrf_sse.runtime.loops import background_loop, running_loop
from adrf_sse.streams.open_streams import pop_unread
from adrf_sse.streams.shutdown import shutdown

if TYPE_CHECKING:
    from adrf_sse.streams.stream import EventStream


class WSGIReader(Iterator[bytes]):
    """Read a stream chunk by chunk, or ``content``, what middleware made of it. The thread waits for each chunk.

    The reader closes nothing when it is collected as garbage: that may happen in the loop's own thread, which must not
    wait for itself. The response closes the stream.
    """

    def __init__(self, stream: "EventStream", content: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._content = content

    def __next__(self) -> bytes:
        loop = self._stream.loop or background_loop.get()
        if loop is running_loop():
            raise RuntimeError(
                "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
            )
        if not self._stream.is_read:
            pop_unread()
            close_connections()
            shutdown.listen()
        try:
            return asyncio.run_coroutine_threadsafe(self._next(), loop).result()
        except StopAsyncIteration:
            raise StopIteration from None

    async def _next(self) -> bytes:
        return await anext(self._content)
