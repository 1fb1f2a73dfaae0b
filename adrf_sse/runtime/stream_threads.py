"""Stream threads: the few threads in which all open streams run their synchronous calls."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from operator import attrgetter
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.db import connections

from adrf_sse.runtime.contexts import called_by_sync_code, close_connections, thread_context
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.runtime.loops import after_fork, background_loop
from adrf_sse.settings import sse_settings


class StreamThread(SingleThreadExecutor):
    """Run the synchronous calls of many streams, with one connection to each database for all of them."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.streams = 0
        """Streams that use this thread."""
        # One context for all streams of the thread, which is never left. The public way, to enter a context with this
        # executor in each stream, takes 0.6 KiB of each idle stream; and a context that was left refuses the calls of
        # tasks that outlive it, while tasks that a source leaves running may go on to use the ORM.
        self.context = ThreadSensitiveContext()
        executor: Any = self
        SyncToAsync.context_to_thread_executor[self.context] = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call after the calls before it, on connections that still work."""

        def call() -> Any:
            _close_unusable_connections()
            return fn(*args, **kwargs)

        return super().submit(call)

    def close_connections(self) -> None:
        """Close the thread's database connections."""
        if self.running:
            super().submit(close_connections)


def _close_unusable_connections() -> None:
    """Close what Django closes between requests, except with ``CONN_MAX_AGE = 0``: a cursor may still be in use."""
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred or connection.settings_dict["CONN_MAX_AGE"] != 0:
            connection.close_if_unusable_or_obsolete()


class StreamThreads:
    """Share ``STREAM_THREADS`` threads among all open streams; each stream uses the thread with the fewest streams.

    A thread starts with its first call.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.reset()

    def reset(self) -> None:
        """Forget the threads. A forked process must do so, because it has none of its parent's threads."""
        self._lock = threading.Lock()
        self.threads: list[StreamThread] = []

    def acquire(self) -> StreamThread:
        """Return the thread for one more stream."""
        with self._lock:
            while len(self.threads) < sse_settings.STREAM_THREADS:
                self.threads.append(StreamThread(self._name))
            thread = min(self.threads[: sse_settings.STREAM_THREADS], key=attrgetter("streams"))
            thread.streams += 1
            return thread

    def release(self, thread: StreamThread) -> None:
        """Count one stream less; the last one closes the thread's connections."""
        with self._lock:
            thread.streams -= 1
            if not thread.streams:
                thread.close_connections()


stream_threads = StreamThreads("adrf_sse streams")
check_threads = StreamThreads("adrf_sse checks")
"""The threads of reauthorization, so that no check waits for the calls of a source."""
after_fork(stream_threads.reset)
after_fork(check_threads.reset)


def enter_stream_thread(threads: StreamThreads = stream_threads) -> StreamThread | None:
    """Run the synchronous calls of this task, and of the tasks that it starts, in one of the threads from now on.

    Returns the thread, which the caller releases when the task ends, or ``None`` if the calls stay where they are.
    """
    if thread_context() is None and not background_loop.runs_here():
        return None
    thread = threads.acquire()
    SyncToAsync.thread_sensitive_context.set(thread.context)
    if called_by_sync_code() or background_loop.runs_here():
        # asgiref would prefer a synchronous middleware's thread, or a WSGI worker's, which only waits for the view.
        AsyncToSync.executors.current = None
    return thread


async def run_in_stream_thread(function: Callable[[], Awaitable[object]]) -> None:
    """Await an asynchronous function in a task of its own, whose synchronous calls run in a stream thread."""
    await asyncio.get_running_loop().create_task(_in_stream_thread(function))


async def run_in_check_thread(function: Callable[[], Awaitable[object]]) -> None:
    """Await a check in a task of its own, whose synchronous calls run in a thread of reauthorization."""
    await asyncio.get_running_loop().create_task(_in_check_thread(function))


async def _in_stream_thread(function: Callable[[], Awaitable[object]]) -> None:
    thread = enter_stream_thread()
    try:
        await function()
    finally:
        if thread is not None:
            stream_threads.release(thread)


async def _in_check_thread(function: Callable[[], Awaitable[object]]) -> None:
    thread = enter_stream_thread(check_threads)
    try:
        await function()
    finally:
        if thread is not None:
            # In the thread, after the calls before it: a check that hangs holds its thread, and others use another one.
            thread.submit(check_threads.release, thread)
