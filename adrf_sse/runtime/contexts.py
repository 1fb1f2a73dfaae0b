"""Thread contexts: what asgiref keeps for a request, given back before its stream, and what a stream uses instead.

asgiref runs the synchronous code of each ASGI request in a thread of the request's own, which lives, with its database
connections, until the request ends. A stream would hold both for hours. Django's test clients have no such context:
there, synchronous code runs in the test's own thread and transaction, and is left where it is.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

from adrf_sse.runtime.loops import after_fork, background_loop
from adrf_sse.runtime.threads import OneThread
from adrf_sse.settings import sse_settings

BUSY = 1.0
"""Seconds at most that a stream waits for the request's thread."""


def thread_context() -> ThreadSensitiveContext | None:
    """Return the thread context that synchronous code called from here would run in."""
    return SyncToAsync.thread_sensitive_context.get(None)


async def release_request() -> None:
    """Let go of what the request phase used, before its stream."""
    context = thread_context()
    if context is None:
        return
    if getattr(AsyncToSync.executors, "current", None) is not None:
        await sync_to_async(close_connections)()  # in a synchronous middleware's thread, which waits for the view
    else:
        await give_back(context)


async def give_back(context: ThreadSensitiveContext) -> None:
    """Close the database connections that a request holds, in its thread, and let the thread end."""
    if getattr(context, "_executor", None) is not None:
        return  # the server's own, shared by requests
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        closed = asyncio.get_running_loop().run_in_executor(executor, close_connections)
        executor.shutdown(wait=False)
        # What the view left running in that thread may take its time, but not the stream's.
        await asyncio.wait([closed], timeout=BUSY)


def close_connections() -> None:
    """Close this thread's connections, or give them back to their pool, but none inside a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _drop_stale_connections() -> None:
    """Do what Django does between requests; but with ``CONN_MAX_AGE = 0``, the next call may need this one's cursor."""
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred or connection.settings_dict["CONN_MAX_AGE"] != 0:
            connection.close_if_unusable_or_obsolete()


class StreamThread(OneThread):
    """Run the synchronous calls of many streams, with one connection to each database for all of them."""

    def __init__(self) -> None:
        super().__init__("adrf_sse streams")
        self.streams = 0
        self.context = ThreadSensitiveContext()
        executor: Any = self
        SyncToAsync.context_to_thread_executor[self.context] = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call after those before it, on connections that still work."""

        def call() -> Any:
            _drop_stale_connections()
            return fn(*args, **kwargs)

        return super().submit(call)


class StreamThreads:
    """Share ``STREAM_THREADS`` threads among all open streams, each with the thread that has fewest."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked process must: it has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads: list[StreamThread] = []

    def take(self) -> StreamThread:
        """Return the thread for one more stream."""
        with self._lock:
            while len(self._threads) < sse_settings.STREAM_THREADS:
                self._threads.append(StreamThread())
            thread = min(self._threads[: sse_settings.STREAM_THREADS], key=lambda thread: thread.streams)
            thread.streams += 1
            return thread

    def give_back(self, thread: StreamThread) -> None:
        """Count one stream less; the last one closes the thread's connections."""
        with self._lock:
            thread.streams -= 1
            if not thread.streams and thread.running:
                OneThread.submit(thread, close_connections)


stream_threads = StreamThreads()
after_fork(stream_threads.forget)


def enter_stream_thread() -> StreamThread | None:
    """Send the synchronous calls of the running task, and of its children, to a stream thread, as long as it lives.

    Returns the thread, to be given back to ``stream_threads``, or ``None`` where the calls stay where they are. All
    streams of a thread share one context of asgiref's, which does not end with any of them: what a source leaves
    running may go on to use the ORM.
    """
    if thread_context() is None and not background_loop.runs_here():
        return None
    thread = stream_threads.take()
    SyncToAsync.thread_sensitive_context.set(thread.context)
    # A synchronous middleware's thread, or a WSGI worker's, would come first, but waits for the view only. The latter
    # is not seen here, until the first synchronous call comes back with it.
    if getattr(AsyncToSync.executors, "current", None) is not None or background_loop.runs_here():
        AsyncToSync.executors.current = None
    return thread


class StreamContext:
    """Do what ``enter_stream_thread()`` does, for a part of a task."""

    __slots__ = ("_context", "_executor", "_thread")

    async def __aenter__(self) -> None:
        self._context: Any = thread_context()
        self._executor = getattr(AsyncToSync.executors, "current", None)
        self._thread = enter_stream_thread()

    async def __aexit__(self, *raised: Any) -> None:
        if self._thread is not None:
            SyncToAsync.thread_sensitive_context.set(self._context)
            if self._executor is not None:
                AsyncToSync.executors.current = self._executor
            stream_threads.give_back(self._thread)
