"""Producing runs from synchronous code, which waits meanwhile, and stops the run if it is interrupted."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from adrf_sse.events.event import ERROR_EVENT
from adrf_sse.runs.begin import produce
from adrf_sse.runtime.calling_thread import InterruptedThread
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.runtime.loops import running_loop
from adrf_sse.settings import sse_settings
from adrf_sse.streams.failures import FormatError
from adrf_sse.streams.sources import discard

T = TypeVar("T")

MARGIN = 2.0
"""Seconds beside ``CLEANUP_TIMEOUT`` in which a coroutine that is cancelled must end."""


def produce_sync(
    run_id: str, source: Any, *, error_event: str = ERROR_EVENT, format_error: FormatError | None = None
) -> str:
    """Produce a queued run to its end from synchronous code, as ``produce()`` does. The source may be of any kind.

    A synchronous source runs in the thread that calls this function. If that thread is interrupted by Ctrl-C or by a
    time limit of the task queue, the run is lost at once, and its source is closed. Raises ``RuntimeError`` in a thread
    with an event loop.
    """
    if running_loop() is not None:
        discard(source)
        raise RuntimeError("produce_sync() must be called in a thread without an event loop. Await produce() there.")
    return wait_for(lambda: produce(run_id, source, error_event=error_event, format_error=format_error))


def wait_for(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a coroutine in an event loop of its own. Its synchronous code runs in this thread, which waits.

    If an exception interrupts the thread, as Ctrl-C does, or a time limit of a task queue, the coroutine is cancelled
    before the exception is raised. ``async_to_sync()`` would let it run on.
    """
    here = InterruptedThread()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        return await here.serve(function())

    result: Future[T] = Future()
    thread = SingleThreadExecutor("adrf_sse produce")
    try:
        thread.submit(contextvars.copy_context().run, _run, main, result)
        thread.shutdown()
        here.run_until(result)
    except BaseException:
        timeout = sse_settings.CLEANUP_TIMEOUT + MARGIN
        with suppress(RuntimeError, TimeoutError):  # the loop has ended meanwhile, or the coroutine does not end
            loop, task = started.result(timeout)
            loop.call_soon_threadsafe(task.cancel)
            here.run_until(result, timeout)
        raise
    return result.result()


def _run(main: Callable[[], Coroutine[Any, Any, T]], result: "Future[T]") -> None:
    try:
        result.set_result(asyncio.run(main()))
    except BaseException as exc:
        result.set_exception(exc)
