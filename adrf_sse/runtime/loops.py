"""Event loops: the one that serves a request, one in a thread of its own for streams under WSGI, and their tasks."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or ``None``."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def served_by_loop() -> bool:
    """Return whether an event loop serves the request: in this thread, or while it waits for this thread."""
    return running_loop() is not None or _waiting_loop() is not None


def _waiting_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that waits for this thread, or ``None``."""
    # asgiref stores its caller's loop in each thread that it runs synchronous code in. Other threads have no attribute.
    parent: asyncio.AbstractEventLoop | None = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return parent if parent is not None and parent.is_running() else None


def after_fork(callback: Callable[[], None]) -> None:
    """Call ``callback`` in each forked child, on systems that can fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)


class BackgroundLoop:
    """Run streams under WSGI, where the loop of an asynchronous view ends with the view.

    The first call to ``get()`` starts the loop in a daemon thread.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the loop. A forked process must do so, because it has none of its parent's threads."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="adrf_sse", daemon=True).start()
            return self._loop

    def runs_here(self) -> bool:
        """Return whether the loop runs in this thread."""
        return self._loop is not None and running_loop() is self._loop


background_loop = BackgroundLoop()
after_fork(background_loop.reset)


def loop_of(request: HttpRequest) -> asyncio.AbstractEventLoop:
    """Return a loop for the stream of a request. Under WSGI, the loop of an asynchronous view ends with the view."""
    if isinstance(request, WSGIRequest):
        return background_loop.get()
    return running_loop() or _waiting_loop() or background_loop.get()


async def run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine on another loop. Cancelling this call cancels the coroutine there."""
    if loop is asyncio.get_running_loop():
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


_held: set[asyncio.Task[Any]] = set()


def hold_task(task: asyncio.Task[Any]) -> None:
    """Keep a reference to a task until it is done, because an event loop keeps only a weak one."""
    _held.add(task)
    task.add_done_callback(_held.discard)
