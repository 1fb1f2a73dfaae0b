"""Reading streams under WSGI, from a worker's thread, on the loop that runs them."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

from adrf_sse.runtime.contexts import close_connections
from adrf_sse.runtime.loops import background_loop, running_loop
from adrf_sse.streams.shutdown import shutdown
from adrf_sse.streams.unread_streams import UnreadStream, pop_unread

T = TypeVar("T")


class ReadableStream(UnreadStream, Protocol):
    """A stream as a WSGI worker reads it."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that runs the source, once it has started."""

    async def next_chunk(self) -> bytes:
        """Wait for frames and return them; ``b""`` at the end."""


class WSGIReader(Iterator[bytes]):
    """Read a stream chunk by chunk. The thread waits for each chunk."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    def __next__(self) -> bytes:
        stream = self._stream
        loop = stream.loop or background_loop.get()
        if loop is running_loop():
            raise RuntimeError(
                "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
            )
        if not stream.is_read:
            pop_unread()
            close_connections()
            shutdown.listen()
        chunk = _result(stream.next_chunk(), loop)
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def iterate(content: AsyncGenerator[bytes, None]) -> Iterator[bytes]:
    """Yield what an asynchronous generator yields on the background loop, and close the generator at the end."""
    loop = background_loop.get()
    try:
        while (chunk := _result(_next(content), loop)) is not None:
            yield chunk
    finally:
        _result(_close(content), loop)


async def _next(content: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(content, None)


async def _close(content: AsyncGenerator[bytes, None]) -> None:
    await content.aclose()


def _result(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
