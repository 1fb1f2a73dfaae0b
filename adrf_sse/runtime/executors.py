"""An executor with one thread."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

_Job = tuple["Future[Any]", Callable[[], Any]]


class SingleThreadExecutor(Executor):
    """Run calls one after the other in one daemon thread, which the first call starts.

    The interpreter would wait at its exit for the thread of a ``ThreadPoolExecutor``, in which a synchronous source
    may block for hours. It does not wait for a daemon thread.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._name = name
        self._start = threading.Lock()
        self.running = False
        """Whether the thread has been started."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call after the calls before it."""
        future: Future[Any] = Future()
        self._jobs.put((future, lambda: fn(*args, **kwargs)))
        with self._start:
            if not self.running:
                self.running = True
                threading.Thread(target=_work, args=[self._jobs], name=self._name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread after the calls that were submitted. Never wait for it."""
        self._jobs.put(None)


def _work(jobs: "SimpleQueue[_Job | None]") -> None:
    while job := jobs.get():
        future, call = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as exc:
                future.set_exception(exc)
        del job, future, call  # an idle thread must not keep the last call's arguments alive
