"""Synchronous sources: a limit on their number, and an iterator that pulls one from the event loop."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from adrf_sse.exceptions import TooManySyncStreams
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.settings import sse_settings
from adrf_sse.streams.limits import Limit, Slot, stream_counts

_END: Any = object()


_COUNT = "synchronous sources"


def reserve_thread() -> Slot:
    """Count one more synchronous source, which needs a thread, until its slot is released.

    Raises ``TooManySyncStreams`` if there are ``MAX_SYNC_STREAMS``.
    """
    return stream_counts.take([Limit(_COUNT, sse_settings.MAX_SYNC_STREAMS, TooManySyncStreams)])


def count_sync_sources() -> int:
    """Return how many synchronous sources exist in this process."""
    return stream_counts.count(_COUNT)


class ThreadedIterator(AsyncIterator[Any]):
    """Pull a synchronous iterator from the event loop, one item at a time, in one thread and one context.

    ``executor`` owns the thread. Without an executor, asgiref chooses the thread, as for any synchronous code.
    """

    def __init__(
        self, iterator: Iterator[Any], executor: SingleThreadExecutor | None, on_closed: Callable[[], None]
    ) -> None:
        self._iterator = iterator
        self._executor: Any = executor  # asgiref's types name ThreadPoolExecutor, but any Executor works
        self._on_closed = on_closed
        self._closed: asyncio.Future[None] | None = None  # while, or after, it is closed
        self._context = contextvars.copy_context()

    async def __anext__(self) -> Any:
        # sync_to_async() makes async_to_sync() in the source run on this loop; run_in_executor() would not.
        pull: Any = sync_to_async(
            next, thread_sensitive=self._executor is None, executor=self._executor, context=self._context
        )
        item = await pull(self._iterator, _END)
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Close the source in its thread, after a pull that is still running, and end the thread.

        A first cancellation of this call does not interrupt the closing; the call raises it afterwards. A second
        cancellation ends the wait.
        """
        closed: asyncio.Future[None]
        if self._executor is None:
            closed = asyncio.ensure_future(sync_to_async(self._close)())
        else:
            closed = asyncio.wrap_future(self._executor.submit(lambda: self._context.run(self._close)))
            self._executor.shutdown()
        self._closed = closed
        try:
            await asyncio.shield(closed)
        except asyncio.CancelledError:
            await asyncio.wait([closed])
            raise

    async def wait_closed(self) -> None:
        """Wait until a source in a thread that asgiref has chosen is closed, also after a second cancellation.

        It can't be closed later if the event loop ends. A source in a thread of its own can.
        """
        if self._executor is None and self._closed is not None:
            await asyncio.wait([self._closed])

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if self._executor is not None:
                connections.close_all()
            self._on_closed()
