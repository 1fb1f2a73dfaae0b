"""Thread contexts: the thread and the database connections that a request uses, released before its stream.

asgiref runs the synchronous code of each ASGI request in a thread that belongs to the request. The thread lives until
the request ends, and so do its database connections: for hours, where the response is a stream. Django's test clients
create no such context. There, synchronous code runs in the test's own thread and transaction, and stays there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from typing import Any, cast

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

from adrf_sse.runtime.executors import SingleThreadExecutor

REQUEST_THREAD_TIMEOUT = 1.0
"""Seconds that a stream waits at most until the request's thread has closed its connections."""

stays_in_calling_thread: ContextVar[bool] = ContextVar("adrf_sse_stays_in_calling_thread", default=False)
"""Whether all synchronous code runs in the thread of a synchronous test, which has the test's data."""


def thread_context() -> ThreadSensitiveContext | None:
    """Return the thread context in which synchronous code called from here runs, or ``None``."""
    if stays_in_calling_thread.get():
        return None
    return SyncToAsync.thread_sensitive_context.get(None)


def called_by_sync_code() -> bool:
    """Return whether asgiref would run synchronous code in a thread that waits for this asynchronous code."""
    return getattr(AsyncToSync.executors, "current", None) is not None  # unset outside of async_to_sync()


class RequestThread(Executor):
    """The thread of a request, which calls a function when the request has ended, however it ended.

    asgiref shuts a context's executor down when the context is left, which Django does last. It has no public way to
    learn of that.
    """

    def __init__(self, executor: Executor | None, on_end: Callable[[], None]) -> None:
        self._executor = executor
        self._on_end = on_end

    @property
    def is_used(self) -> bool:
        """Whether there is a thread."""
        return self._executor is not None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call in the thread, which starts with the first call."""
        if self._executor is None:
            self._executor = SingleThreadExecutor("adrf_sse request")
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread."""
        self._on_end()
        if self._executor is not None:
            self._executor.shutdown(wait, cancel_futures=cancel_futures)


def call_after_request(context: ThreadSensitiveContext, on_end: Callable[[], None]) -> None:
    """Call a function, in any thread, when a request is over. A server's own executor does not tell."""
    if context._executor is None:
        executors = cast("dict[ThreadSensitiveContext, Executor]", SyncToAsync.context_to_thread_executor)
        executors[context] = RequestThread(executors.get(context), on_end)


async def release_request() -> None:
    """Release the thread and the database connections that the request used before its stream."""
    context = thread_context()
    if context is None:
        return
    if called_by_sync_code():
        await sync_to_async(close_connections)()  # a synchronous middleware's thread, which waits for the view
    else:
        await end_thread(context)


async def end_thread(context: ThreadSensitiveContext) -> None:
    """Close the database connections of a request in its thread, and end the thread.

    ``ThreadSensitiveContext`` has no public way to end its thread before the request ends.
    """
    if context._executor is not None:
        return  # the server's own executor, shared by requests
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None and getattr(executor, "is_used", True):
        closed = asyncio.get_running_loop().run_in_executor(executor, close_connections)
        executor.shutdown(wait=False)
        # Work that the view left running in that thread must not delay the stream.
        await asyncio.wait([closed], timeout=REQUEST_THREAD_TIMEOUT)


def close_connections() -> None:
    """Close this thread's database connections, or return them to their pool, except those inside a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
