"""Reading under WSGI: from a worker's thread, on the loop that runs the stream."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from adrf_sse.runtime.contexts import close_connections
from adrf_sse.runtime.loops import background_loop, running_loop
from adrf_sse.streams.open_streams import pop_unread
from adrf_sse.streams.shutdown import shutdown

if TYPE_CHECKING:
    from adrf_sse.streams.stream import EventStream

T = TypeVar("T")


def chunks_of(stream: "EventStream") -> Iterator[bytes]:
    """Yield a stream's chunks. The thread waits for each of them."""
    loop = stream.loop or background_loop.get()
    if loop is running_loop():
        raise RuntimeError(
            "An EventStream must be read with 'async for' in the event loop that runs it, got a plain 'for'."
        )
    pop_unread()
    close_connections()
    shutdown.listen()
    yield from iterate(stream, loop)


def iterate(content: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Yield what an asynchronous iterator yields on a loop, and close it at the end."""
    try:
        while (chunk := _result(_next(content), loop)) is not None:
            yield chunk
    finally:
        _result(_close(content), loop)


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    return await anext(content, None)


async def _close(content: Any) -> None:
    await content.aclose()


def _result(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
