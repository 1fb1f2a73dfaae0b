"""Request threads: the thread that runs a request's synchronous code, which is released before a stream waits.

asgiref ends a request's thread when the request ends, and so its database connections stay open: for hours, where the
response is a stream. So the thread is ended before. What Django still has to run afterwards, such as synchronous
middleware, and the end of each request, runs in one of a few shared threads. Otherwise, asgiref would start a thread
for that, and another one to wait for the end of the first.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, cast

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.signals import request_finished
from django.db import close_old_connections

from adrf_sse.runtime.contexts import (
    called_by_sync_code,
    close_connections,
    close_idle_connections,
    forget_connections,
    has_connected,
    thread_context,
)
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.runtime.loops import after_fork
from adrf_sse.runtime.stream_threads import StreamThread, StreamThreads

REQUEST_THREAD_TIMEOUT = 1.0
"""Seconds that a stream waits at most until the request's thread has closed its connections."""

request_threads = StreamThreads("adrf_sse requests")
"""The shared threads."""
after_fork(request_threads.reset)


class RequestThread(Executor):
    """Run the synchronous calls of a request: in its own thread, which may be there already, or in a shared thread.

    asgiref shuts a context's executor down when the context is left, which Django does last. It has no public way to
    learn of that, or to end a context's thread earlier.
    """

    def __init__(self, own: Executor | None = None) -> None:
        self.own = own
        self.shared: StreamThread | None = None
        self.on_end: Callable[[], None] | None = None
        """Called in any thread when the request has ended, however it ended."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call after the calls before it."""
        if self.shared is not None:
            return self.shared.submit(fn, *args, **kwargs)
        if self.own is None:
            self.own = SingleThreadExecutor("adrf_sse request")
        return self.own.submit(fn, *args, **kwargs)

    def share(self) -> None:
        """Run the calls in a shared thread from now on, and end the request's own thread."""
        own, self.own = self.own, None
        self.shared = request_threads.acquire()
        if own is not None:
            _end(own)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the request's own thread. A shared thread goes on for other requests."""
        if self.on_end is not None:
            self.on_end()
        if self.own is not None:
            self.own.shutdown(wait, cancel_futures=cancel_futures)
        if self.shared is not None:
            request_threads.release(self.shared)


def _end(thread: Executor) -> "Future[None]":
    """End a thread after its calls, and close the connections that they have opened."""
    closed = thread.submit(close_connections)
    thread.shutdown(wait=False)
    return closed


def _current_request() -> ThreadSensitiveContext | None:
    """Return the context of the current request; ``None`` where it has been left, or is that of a stream's thread."""
    context = thread_context()
    return None if context is None or context.token is None else context


_executors = cast("dict[ThreadSensitiveContext, Executor]", SyncToAsync.context_to_thread_executor)


def _thread_of(context: ThreadSensitiveContext) -> RequestThread:
    executor = _executors.get(context)
    if not isinstance(executor, RequestThread):
        executor = _executors[context] = RequestThread(executor)
    return executor


def call_after_request(context: ThreadSensitiveContext, on_end: Callable[[], None]) -> None:
    """Call a function, in any thread, when a request is over. A server's own executor does not tell."""
    if context._executor is None and context.token is not None:
        _thread_of(context).on_end = on_end


async def share_request_thread() -> None:
    """Release the thread and the database connections of a request that waits, and that Django goes on with later.

    The request keeps its thread if that is in a transaction, or busy.
    """
    context = _current_request()
    if context is None or context._executor is not None:
        return
    if called_by_sync_code():  # by a synchronous middleware, whose thread waits for the view
        if has_connected(context):
            await sync_to_async(close_idle_connections)()
        return
    thread = _thread_of(context)
    if thread.shared is None and await _is_idle(context, thread.own):
        thread.share()
        forget_connections(context)


async def _is_idle(context: ThreadSensitiveContext, thread: Executor | None) -> bool:
    """Close the connections of a request's thread, and return whether it has neither work nor a transaction."""
    if thread is None or not has_connected(context):
        return True
    closing = asyncio.get_running_loop().run_in_executor(thread, close_idle_connections)
    await asyncio.wait([closing], timeout=REQUEST_THREAD_TIMEOUT)
    return closing.done() and closing.result()


async def release_request() -> None:
    """Release the thread and the database connections that the request used before its stream."""
    context = _current_request()
    if context is None:
        return
    if called_by_sync_code():
        if has_connected(context):
            await sync_to_async(close_connections)()
    elif context._executor is None:  # otherwise the server's own executor, shared by requests
        executor = _executors.pop(context, None)
        if executor is not None:
            await _release(context, executor if isinstance(executor, RequestThread) else RequestThread(executor))


async def _release(context: ThreadSensitiveContext, thread: RequestThread) -> None:
    own, thread.own = thread.own, None
    closed = None if own is None else _end(own)
    if thread.shared is not None and has_connected(context):
        thread.shared.submit(close_old_connections)  # as Django does at the end of a request
    thread.shutdown(wait=False)
    if closed is not None and has_connected(context):
        # Work that the view left running in that thread must not delay the stream.
        await asyncio.wait([asyncio.wrap_future(closed)], timeout=REQUEST_THREAD_TIMEOUT)
    forget_connections(context)


def finish_in_shared_thread() -> None:
    """Let Django finish the current request in a shared thread, if the request has no thread."""
    context = _current_request()
    if context is None or context._executor is not None or called_by_sync_code():
        return
    if context not in _executors:
        _thread_of(context).share()


def _return_shared_thread(**kwargs: Any) -> None:
    """Return the shared thread of a request that has ended. Otherwise, asgiref starts a thread that does so."""
    context = thread_context()
    thread = None if context is None else _executors.get(context)
    if context is not None and isinstance(thread, RequestThread) and thread.shared is not None:
        del _executors[context]
        thread.shutdown()


request_finished.connect(_return_shared_thread, dispatch_uid="adrf_sse.request_threads")
