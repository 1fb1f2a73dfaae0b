"""A thread of its own for a synchronous source, and the count of them."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from adrf_sse.exceptions import TooManySyncStreams

_END: Any = object()
_Job = tuple["Future[Any]", Callable[[], Any]]


class Slots:
    """Count what may exist only so many times in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.taken = 0

    def take(self, limit: int) -> None:
        """Raise ``TooManySyncStreams`` where the limit is reached."""
        with self._lock:
            if self.taken >= limit:
                raise TooManySyncStreams
            self.taken += 1

    def give_back(self) -> None:
        """Free one slot."""
        with self._lock:
            self.taken -= 1


sync_slots = Slots()


class OneThread(Executor):
    """Run calls one after the other in one thread, which does not keep the process from exiting.

    ``ThreadPoolExecutor`` would: the interpreter joins its threads, and a source may block for hours.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._name = name
        self._start = threading.Lock()
        self.running = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call after those before it; the first one starts the thread."""
        future: Future[Any] = Future()
        self._jobs.put((future, lambda: fn(*args, **kwargs)))
        with self._start:
            if not self.running:
                self.running = True
                threading.Thread(target=_work, args=[self._jobs], name=self._name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the thread end after what it was given; never wait for it."""
        self._jobs.put(None)


def _work(jobs: "SimpleQueue[_Job | None]") -> None:
    while job := jobs.get():
        _run(*job)
        del job


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(result)


class ThreadedIterator(AsyncIterator[Any]):
    """Pull a synchronous iterator from the event loop, one item at a time, in one thread and one context.

    ``executor`` runs the thread; without one, asgiref chooses it, as for any synchronous code.
    """

    def __init__(self, iterator: Iterator[Any], executor: OneThread | None, on_closed: Callable[[], None]) -> None:
        self._iterator = iterator
        self._executor: Any = executor  # asgiref wants a ThreadPoolExecutor in its types; any Executor will do
        self._on_closed = on_closed
        self._context = contextvars.copy_context()

    async def __anext__(self) -> Any:
        # asgiref's own call keeps async_to_sync() in the source on this loop.
        pull: Any = sync_to_async(
            next, thread_sensitive=self._executor is None, executor=self._executor, context=self._context
        )
        item = await pull(self._iterator, _END)
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Close the source in its thread, behind a pull that is still under way, and let the thread end.

        Being cancelled does not undo it, and only a second time ends the wait for it.
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
