"""The event loop of synchronous tests, which runs in another thread while a test has open streams."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, ClassVar, TypeVar

from adrf_sse.runtime.calling_thread import CallingThread
from adrf_sse.runtime.loops import running_loop
from adrf_sse.testing.connections import connections_stay_open

T = TypeVar("T")

INTERRUPTED_TIMEOUT = 10.0
"""Seconds to wait after Ctrl-C, at most, for an event loop that no longer responds."""


class LoopThread:
    """An event loop that runs in a daemon thread.

    ``KeyboardInterrupt`` and ``SystemExit`` of a task do not end the loop. They are passed to ``on_interruption``.
    """

    def __init__(self, on_interruption: Callable[[BaseException], None]) -> None:
        self.loop = asyncio.new_event_loop()
        self._on_interruption = on_interruption
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="adrf_sse testing", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit) as exc:
                self._on_interruption(exc)

    async def end_tasks(self) -> None:
        """Cancel all other tasks, and wait for them, for asynchronous generators and for threads of the loop."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()

    def close(self) -> None:
        """Stop the loop, and wait for its thread."""
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self.loop.close()

    def _stop(self) -> None:
        self._stopped = True
        self.loop.stop()


class Portal:
    """Call asynchronous functions from a synchronous test, on one event loop for all open streams of its thread.

    The synchronous code that they call runs in the test's thread, so it sees the data of the test's transaction.
    """

    _current: ClassVar = threading.local()

    def __init__(self) -> None:
        self.users = 0
        """Open streams, and clients in a block, of this thread."""
        self._calling_thread = CallingThread()
        self._loop_thread: LoopThread | None = None
        self._waiting: Future[Any] | None = None
        self._raised: BaseException | None = None
        self._last_raised: BaseException | None = None
        self._interruption: BaseException | None = None
        self._responds = True

    @classmethod
    def acquire(cls) -> "Portal":
        """Return the portal of this thread, and count one user more."""
        portal: Portal | None = getattr(cls._current, "portal", None)
        if portal is None:
            portal = cls._current.portal = cls()
        portal.users += 1
        return portal

    def release(self) -> None:
        """Count one user less. The last one ends the loop, and all of its tasks."""
        self.users -= 1
        if not self.users:
            del self._current.portal
            self._close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine on the loop, and return its result. Cancel it if the test is interrupted.

        Raises ``RuntimeError`` in an asynchronous test.
        """
        if running_loop() is not None:
            coroutine.close()
            raise RuntimeError("Expected a synchronous test, got an asynchronous one. Use 'async with' and 'await'.")
        if self._loop_thread is None:
            self._loop_thread = LoopThread(self._project_raised)
        loop = self._loop_thread.loop
        try:
            with connections_stay_open():
                return self._run(self._calling_thread.serve(coroutine), loop)
        except BaseException:
            loop.call_soon_threadsafe(_close_unstarted, coroutine)
            raise

    def _run(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        self._waiting = future
        try:
            self._wait_for(future)
        except BaseException as exc:
            self._interruption = exc
            self.interrupt()
            future.cancel()
            raise
        self._raise_interruption()
        return future.result()

    def interrupt(self) -> None:
        """Begin none of the calls that wait for the test's thread, because the test ends and will close its streams."""
        if self._loop_thread is not None and self._responds:
            self._calling_thread.interrupt(self._loop_thread.loop)

    def _project_raised(self, exc: BaseException) -> None:
        """Raise an exception of the project in the test's thread, once, however many tasks it ends."""
        if exc is self._last_raised:
            return
        self._raised = self._last_raised = exc
        if self._waiting is not None:
            self._waiting.cancel()

    def _raise_interruption(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _wait_for(self, future: "Future[Any]") -> None:
        interruption, self._interruption = self._interruption, None
        if interruption is None:
            self._calling_thread.run_until(future)
            return
        try:
            self._calling_thread.run_until(future, INTERRUPTED_TIMEOUT if self._responds else 0)
        except TimeoutError:
            self._responds = False
            raise interruption from None

    def _close(self) -> None:
        if self._loop_thread is None or not self._responds:
            return  # the thread of a loop that no longer responds ends with the process
        try:
            self.run(self._loop_thread.end_tasks())
        except BaseException:
            if self._responds:
                raise  # else the test was interrupted, and has raised the interruption already
        finally:
            if self._responds:
                self._loop_thread.close()


def _close_unstarted(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine that will never run, because its task was cancelled before its first step."""
    if getcoroutinestate(coroutine) == CORO_CREATED:
        coroutine.close()
