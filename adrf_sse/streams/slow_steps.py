"""Slow steps: what blocks the event loop in an asynchronous source, found while ``DEBUG`` is on.

A step of a source runs from where the event loop enters or resumes it to where it yields or waits. A thread looks at
the current steps at regular intervals. A step that it finds twice has blocked the event loop, and with it all streams
of the process, for at least an interval.
"""

import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Generator
from functools import partial
from linecache import getline
from logging import WARNING
from types import FrameType
from typing import TYPE_CHECKING, Any

from django.conf import settings

from adrf_sse.logs import log
from adrf_sse.runtime.loops import after_fork

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

INTERVAL = 0.1
"""Seconds between two looks. The debug mode of asyncio also calls a callback slow after 0.1 seconds."""

IDLE_LOOKS = 50
"""Looks without a step after which the thread ends. The next step starts another one."""

_BLOCKED = (
    "The source %(source)s of the view %(view)s blocks the event loop at %(place)s. No stream of this process receives "
    "events meanwhile. Await an asynchronous function, call the slow one with asgiref's sync_to_async(), or make the "
    "source a synchronous generator, which runs in a thread."
)

Place = tuple[str, int]
"""A file and a line in it."""


def watched(items: AsyncIterator[Any], owner: "Lifecycle", source: object) -> AsyncIterator[Any]:
    """Return the items of a stream's source, with watched steps if ``DEBUG`` is on."""
    return WatchedItems(items, owner, source) if settings.DEBUG else items


class StepWatch:
    """Look for slow steps in a thread, and log each place that blocks once."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self.reset()

    def reset(self) -> None:
        """Forget all steps, and the thread, which a forked process does not have."""
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._current: dict[int, Step] = {}  # by the thread that runs the step
        self._found: set[Step] = set()  # by the last look
        self._logged: set[Place] = set()

    def enter(self, step: "Step") -> None:
        """Watch a step that begins in this thread."""
        self._current[threading.get_ident()] = step
        if self._thread is None:
            with self._lock:
                self._thread = self._thread or self._started()

    def leave(self) -> None:
        """Note that the step of this thread has ended."""
        self._current.pop(threading.get_ident(), None)

    def look(self) -> bool:
        """Log the steps that the last look found too, and return whether there are steps."""
        with self._lock:
            current = dict(self._current)
            for thread, step in current.items():
                frames = _frames_of_step(sys._current_frames().get(thread)) if step in self._found else []
                if frames and self._current.get(thread) is step:
                    self._log(step, frames)
            self._found = set(current.values())
            return bool(current)

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="adrf_sse slow steps", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        idle = 0
        pause = threading.Event()
        while True:
            pause.wait(self._interval)
            idle = 0 if self.look() else idle + 1
            with self._lock:
                if idle >= IDLE_LOOKS and not self._current:
                    self._thread = None
                    return

    def _log(self, step: "Step", frames: list[FrameType]) -> None:
        place = (frames[-1].f_code.co_filename, frames[-1].f_lineno)
        if place not in self._logged:
            self._logged.add(place)
            source = repr(step.items.source)
            log(WARNING, _BLOCKED, step.items.owner.request, source=source, place=_described(frames))


step_watch = StepWatch()
after_fork(lambda: step_watch.reset())


class WatchedItems(AsyncIterator[Any]):
    """The items of a source whose steps are watched."""

    def __init__(self, items: AsyncIterator[Any], owner: "Lifecycle", source: object) -> None:
        self.owner = owner
        self.source = source
        self._items = items

    def __anext__(self) -> Awaitable[Any]:
        return WatchedPull(self, self._items.__anext__())

    @property
    def athrow(self) -> Any:
        """The source's ``athrow()``, which only generators have."""
        return self._items.athrow  # type: ignore[attr-defined]


class Step:
    """One step of a source."""

    def __init__(self, items: WatchedItems) -> None:
        self.items = items


class WatchedPull(Awaitable[Any]):
    """Await the next item of a source, and watch each of the steps."""

    def __init__(self, items: WatchedItems, pull: Awaitable[Any]) -> None:
        self._items = items
        self._pull = pull

    def __await__(self) -> Generator[Any, None, Any]:
        iterator = self._pull.__await__()
        resume = partial(next, iterator)
        while True:
            step_watch.enter(Step(self._items))
            try:
                future = resume()
            except StopIteration as end:
                return end.value
            finally:
                step_watch.leave()
            try:
                yield future
                resume = partial(next, iterator)
            except BaseException as exc:
                if not hasattr(iterator, "throw"):
                    raise
                resume = partial(iterator.throw, exc)


_AWAIT = WatchedPull.__await__.__code__


def _frames_of_step(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of a thread from the innermost one to that of the source, which is the last one."""
    frames = []
    while frame is not None and frame.f_code is not _AWAIT:
        frames.append(frame)
        frame = frame.f_back
    return [] if frame is None else frames


def _described(frames: list[FrameType]) -> str:
    """Return the line of the source that is running, and the innermost line that it has called."""
    own, innermost = frames[-1], frames[0]
    described = f"{_place(own)}: {getline(own.f_code.co_filename, own.f_lineno).strip()}"
    return described if own is innermost else f"{described} (in {_place(innermost)})"


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}, in {frame.f_code.co_name}"
