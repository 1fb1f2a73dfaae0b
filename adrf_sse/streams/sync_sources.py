"""Synchronous sources: a limit on their number, and an iterator that pulls one from the event loop."""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from adrf_sse.exceptions import TooManySyncStreams
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.settings import sse_settings

_END: Any = object()


class SourceLimit:
    """Count the synchronous sources of this process, each of which needs a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources = 0
        self._released: deque[None] = deque()  # sources that are still in the count

    @property
    def sources(self) -> int:
        """Synchronous sources that exist."""
        with self._lock:
            self._take_back()
            return self._sources

    def acquire(self) -> None:
        """Count one more source. Raises ``TooManySyncStreams`` if there are ``MAX_SYNC_STREAMS``."""
        with self._lock:
            self._take_back()
            if self._sources >= sse_settings.MAX_SYNC_STREAMS:
                raise TooManySyncStreams
            self._sources += 1

    def release(self) -> None:
        """Count one source less."""
        self._released.append(None)  # atomic: the garbage collector may call this while the lock is held

    def _take_back(self) -> None:
        while self._released:
            self._released.pop()
            self._sources -= 1


source_limit = SourceLimit()


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
        try:
            await asyncio.shield(closed)
        except asyncio.CancelledError:
            await asyncio.wait([closed])
            raise

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if self._executor is not None:
                connections.close_all()
            self._on_closed()
