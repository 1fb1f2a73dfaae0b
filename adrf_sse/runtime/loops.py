"""Event loops: the one that serves a request, and the one that serves streams where there is none, under WSGI."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def served_by_loop() -> bool:
    """Tell whether an event loop drives the request: it runs in this thread, or waits for this thread's answer."""
    if running_loop() is not None:
        return True
    # asgiref leaves the loop it was called from in each thread that it runs synchronous code in.
    parent = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return parent is not None and parent.is_running()


def after_fork(forget: Callable[[], None]) -> None:
    """Have something called in each forked child, on systems that fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


class BackgroundLoop:
    """Drive streams under WSGI, where a request has no loop that outlives its view, on one loop in a daemon thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked process must: it has none of its parent's threads."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, started with the first call."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="adrf_sse", daemon=True).start()
            return self._loop

    def runs_here(self) -> bool:
        """Tell whether it is the loop that runs in this thread."""
        return self._loop is not None and running_loop() is self._loop


background_loop = BackgroundLoop()
after_fork(background_loop.forget)


async def run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine on another loop; cancelling this cancels it there."""
    if loop is asyncio.get_running_loop():
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
