"""The threads of synchronous callers and tests, in which the synchronous code of what they wait for runs."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync

from adrf_sse.runtime.contexts import called_by_sync_code, calling_thread, thread_context

T = TypeVar("T")


class CallingThread(CurrentThreadExecutor):
    """Run calls in the thread that created this executor, whenever that thread waits in ``run_until()``.

    asgiref's own executor serves one call of ``async_to_sync()``, and refuses the calls of tasks that go on afterwards.
    This one serves many waits. Calls that arrive between them run in the next one.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._thread = threading.current_thread()
        self._interrupted = False  # synchronized by _work_ready, as are the calls

    def interrupt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Never begin the calls that wait, nor that of the task that the loop runs at this moment.

        Each of these tasks waits until it is cancelled, which must come next: its cleanup may need calls of its own.
        """
        with self._work_ready:
            self._interrupted = True
        loop.call_soon_threadsafe(self._forget_calls)

    async def serve(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine. Its synchronous code, and that of the tasks that it starts, runs in this thread."""
        AsyncToSync.executors.current = self
        calling_thread.set(self)
        return await coroutine

    def _forget_calls(self) -> None:
        with self._work_ready:
            self._interrupted = False
            self._work_items.clear()

    def run_until(self, future: "Future[Any]", timeout: float | None = None) -> None:
        """Run calls until a future is done. Raises ``TimeoutError`` after ``timeout`` seconds without a call."""
        future.add_done_callback(self._wake)
        while self._wait(future, timeout):
            self._run_next()

    def runs_here(self) -> bool:
        """Return whether the calls run in the present thread."""
        return threading.current_thread() is self._thread

    def _wake(self, future: "Future[Any]") -> None:
        with self._work_ready:
            self._work_ready.notify()

    def _wait(self, future: "Future[Any]", timeout: float | None) -> bool:
        """Wait for a call or for the future, and return whether to run a call: the future is not done."""
        with self._work_ready:
            if not self._work_ready.wait_for(lambda: self._has_call() or future.done(), timeout):
                raise TimeoutError
            return not future.done()

    def _has_call(self) -> bool:
        return bool(self._work_items) and not self._interrupted

    def _run_next(self) -> None:
        # asgiref stores the loop in the thread. Code of this thread that the loop did not call must not find it there.
        loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
        try:
            self._run_call(self._work_items.popleft())
        finally:
            SyncToAsync.threadlocal.main_event_loop = loop

    def _run_call(self, call: Any) -> None:
        call.run()


class InterruptedThread(CallingThread):
    """Run calls, and raise ``KeyboardInterrupt`` and ``SystemExit`` of a call in this thread, from ``run_until()``.

    Otherwise, they would end the event loop in the middle of its tasks. The task that waits for the call has no result,
    and must be cancelled.
    """

    def _run_call(self, call: Any) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            result = call.fn(*call.args, **call.kwargs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            call.future.set_exception(exc)
        else:
            call.future.set_result(result)


class SharedThread(CurrentThreadExecutor):
    """Run calls in the one thread in which asgiref runs the synchronous code of asynchronous tests.

    Behind synchronous middleware, asgiref refuses the calls of sources that go on after the middleware has returned. As
    the outermost executor of a request, this one takes them.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._work_items: Any = self

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a call in the thread."""
        return SyncToAsync.single_thread_executor.submit(fn, *args, **kwargs)

    def append(self, work_item: Any) -> None:
        """Run a call that an executor of a synchronous middleware no longer takes."""
        SyncToAsync.single_thread_executor.submit(work_item.run)


def wait_in_thread(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Await a coroutine on a loop from synchronous code. A test's thread runs the coroutine's synchronous calls."""
    thread = calling_thread.get()
    if not isinstance(thread, CallingThread) or not thread.runs_here():
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    future = asyncio.run_coroutine_threadsafe(thread.serve(coroutine), loop)
    thread.run_until(future)
    return future.result()


def keep_synchronous_calls() -> None:
    """Let the synchronous calls of this task's sources outlive synchronous middleware, in an asynchronous test."""
    if thread_context() is None and not called_by_sync_code():
        AsyncToSync.executors.current = SharedThread()
