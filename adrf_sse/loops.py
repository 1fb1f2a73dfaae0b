"""Event loops: the one that serves this request, and the one that serves streams where there is none (WSGI)."""

import asyncio
import os
import threading
from collections.abc import Coroutine
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


class _Background:
    """Keep one event loop for the whole process, in a daemon thread; a forked child makes its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="adrf_sse", daemon=True).start()
            return self._loop


_background = _Background()
os.register_at_fork(after_in_child=lambda: setattr(_background, "_lock", threading.Lock()))


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that drives streams under WSGI, where a request has none that outlives its view."""
    return _background.loop()


async def run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine on another loop; cancelling this cancels it there."""
    if loop is asyncio.get_running_loop():
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
