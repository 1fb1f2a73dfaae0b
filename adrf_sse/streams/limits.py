"""Limits on the number of streams: those of the process, and those of each client."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from django.http import HttpRequest

from adrf_sse.exceptions import TooManyStreams
from adrf_sse.runtime.loops import after_fork
from adrf_sse.settings import sse_settings

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

_PROCESS = "process"
_ATTRIBUTE = "_adrf_sse_limits"
"""The attribute of a request with the limits of its client."""


class Limit(NamedTuple):
    """The most streams that may exist with one key."""

    key: str
    maximum: int
    refusal: Callable[[], Exception]
    """Returns what is raised for a stream too many."""


class Slot:
    """Count one stream under some keys, until it is released or collected as garbage."""

    __slots__ = ("_returned", "keys")

    def __init__(self, keys: tuple[str, ...], returned: "deque[tuple[str, ...]]") -> None:
        self.keys = keys
        self._returned = returned

    def release(self) -> None:
        """Count the stream no longer. May be called several times, and in any thread."""
        keys, self.keys = self.keys, ()
        if keys:
            self._returned.append(keys)  # atomic: the garbage collector may call this while a lock is held

    def __del__(self) -> None:
        self.release()


class StreamCounts:
    """Count the streams of this process under the keys of limits."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all streams. A forked process must do so, because it has none of its parent's streams."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._returned: deque[tuple[str, ...]] = deque()

    def count(self, key: str) -> int:
        """Return how many streams are counted under a key."""
        with self._lock:
            self._take_back()
            return self._counts[key]

    def take(self, limits: Collection[Limit], slot: Slot | None = None, *, refuse: bool = True) -> Slot:
        """Count a stream under the keys of limits, besides those of its slot, and return its slot.

        Raises the refusal of a limit that is reached, and then counts nothing, unless ``refuse`` is ``False``.
        """
        with self._lock:
            self._take_back()
            held = () if slot is None else slot.keys
            new = [limit for limit in limits if limit.key not in held]
            for limit in new if refuse else ():
                if self._counts[limit.key] >= limit.maximum:
                    raise limit.refusal()
            keys = tuple(limit.key for limit in new)
            self._counts.update(keys)
            if slot is None:
                return Slot(keys, self._returned)
            slot.keys += keys
            return slot

    def _take_back(self) -> None:
        while self._returned:
            for key in self._returned.popleft():
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]


stream_counts = StreamCounts()
after_fork(stream_counts.reset)


def add_limit(request: HttpRequest, limit: Limit) -> None:
    """Let a limit apply to the stream of a request."""
    limits: tuple[Limit, ...] = vars(request).get(_ATTRIBUTE, ())
    vars(request)[_ATTRIBUTE] = (*limits, limit)


def limits_of(request: HttpRequest | None) -> list[Limit]:
    """Return the limits for the stream of a request."""
    limits = [] if request is None else list(vars(request).get(_ATTRIBUTE, ()))
    maximum: int | None = sse_settings.MAX_STREAMS
    if maximum is not None:
        limits.append(Limit(_PROCESS, maximum, TooManyStreams))
    return limits


def check_limits(request: HttpRequest) -> None:
    """Raise ``TooManyStreams`` or ``TooManyClientStreams`` if a stream of this request would be refused now."""
    stream_counts.take(limits_of(request)).release()


def reserve(stream: "Lifecycle", request: HttpRequest | None, *, refuse: bool = True) -> bool:
    """Count a stream where limits apply to it, before its source starts, and return whether any does.

    If a limit is reached, discards the source and raises ``TooManyStreams`` or ``TooManyClientStreams``, unless
    ``refuse`` is ``False``. The stream counts until it is closed, or until nothing refers to it.
    """
    if not stream.is_new or (request is not None and request.method == "HEAD"):
        return stream.slot is not None
    limits = limits_of(request)
    if limits:
        try:
            stream.slot = stream_counts.take(limits, stream.slot, refuse=refuse)
        except Exception:
            stream.close()
            raise
    return stream.slot is not None
