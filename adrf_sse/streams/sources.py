"""Sources: every kind of object that yields events, opened, read and closed in the same way."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable
from types import TracebackType
from typing import Any, Literal

from adrf_sse.runtime.contexts import thread_context
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.streams.buffer import FrameBuffer
from adrf_sse.streams.limits import Slot
from adrf_sse.streams.sync_sources import ThreadedIterator, reserve_thread

AnySource = (
    AsyncIterable[Any] | Iterator[Any] | AbstractAsyncContextManager[AsyncIterable[Any]] | Awaitable[AsyncIterable[Any]]
)
"""What type checkers accept as a source."""

Kind = Literal["manager", "async", "awaitable", "sync"]


def kind_of(value: Any) -> Kind | None:
    """Return the kind of a source, or ``None`` for data such as a list, a dict or a queryset."""
    cls = type(value)
    if hasattr(cls, "__aenter__"):
        return "manager"
    if hasattr(cls, "__anext__") or (hasattr(cls, "__aiter__") and not hasattr(cls, "__iter__")):
        return "async"
    if isawaitable(value):
        return "awaitable"
    return "sync" if hasattr(cls, "__next__") else None


def is_source(value: Any) -> bool:
    """Return whether a value is a source, and not data."""
    return kind_of(value) is not None


def checked_source(value: Any) -> Any:
    """Return a source. Raises ``TypeError`` if the value is not a source."""
    if not is_source(value):
        raise TypeError(
            "a source must be an async iterator, an iterator, or an async context manager that yields an async "
            f"iterable, got {value!r}. Yield the events from a generator, or pass iter() of a list."
        )
    return value


def discard(value: Any) -> None:
    """Close a source that was never opened, so that Python does not warn of it."""
    if kind_of(value) in ("awaitable", "sync"):
        close = getattr(value, "close", None)
        if close is not None:
            close()


class DirectSource(ABC):
    """A source that puts frames into its own buffer, so that an open stream needs no task.

    Private to the package: a stream treats only subclasses in this way, whatever methods other objects have.
    """

    channels: frozenset[str]
    """The names of the channels that it receives."""

    @abstractmethod
    def new_buffer(self, on_lag: Callable[[], None], on_end: Callable[[], None]) -> FrameBuffer:
        """Return the buffer for the stream. Calls ``on_lag`` if its client reads too slowly, ``on_end`` at the end."""

    @abstractmethod
    def begin_stream(self) -> None:
        """Prepare to be iterated as the source of a stream whose events are not these frames."""

    @abstractmethod
    async def open(self) -> None:
        """Begin to put frames into the buffer; return when nothing more has to be awaited."""

    @abstractmethod
    async def leave(self) -> None:
        """Put no more frames."""


class Source:
    """Open and close a source with ``async with``, which gives its iterator.

    Entering, every pull and leaving run in the caller's task, so a task group, a ``ContextVar`` or a timeout that a
    source holds across its yields belongs to one task. Raises ``TypeError`` if the value is not a source, and
    ``TooManySyncStreams`` if there is no thread for a synchronous source.
    """

    __slots__ = ("_iterator", "_manager", "_thread", "_value")

    def __init__(self, value: Any) -> None:
        self._thread: Slot | None = None  # counts the source, until an iterator does
        self._manager: Any = None
        self._iterator: AsyncIterator[Any] | None = None
        self._value = checked_source(value)
        if kind_of(value) == "sync":
            self._thread = reserve_thread()

    def __repr__(self) -> str:
        return getattr(self._value, "__qualname__", None) or type(self._value).__qualname__

    async def __aenter__(self) -> AsyncIterator[Any]:
        if kind_of(self._value) == "awaitable":
            self._value = checked_source(await self._value)
        value = self._value
        if kind_of(value) == "manager":
            self._manager = value
            value = await value.__aenter__()
        try:
            self._iterator = iterator = self._iterator_of(checked_source(value))
        except BaseException as exc:
            await self._leave(exc)
            raise
        return iterator

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            await self._close_iterator()
        except BaseException as error:
            if not await self._leave(error):
                raise
            return True
        return await self._leave(exc)

    def discard(self) -> None:
        """Release a source that was never opened."""
        if self._thread is not None:
            self._thread.release()
        discard(self._value)

    async def wait_closed(self) -> None:
        """Wait for a synchronous source that does not stop, and that can't be closed once the event loop has ended."""
        if isinstance(self._iterator, ThreadedIterator):
            await self._iterator.wait_closed()

    async def _close_iterator(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        try:
            if close is not None:
                await close()
        except BaseExceptionGroup as group:
            # A task group around a yield wraps the GeneratorExit that closing sends.
            rest = group.split(GeneratorExit)[1]
            if rest is not None:
                raise rest from None

    async def _leave(self, exc: BaseException | None) -> bool:
        if self._manager is None:
            return False
        kind, traceback = (None, None) if exc is None else (type(exc), exc.__traceback__)
        return bool(await self._manager.__aexit__(kind, exc, traceback))

    def _iterator_of(self, value: Any) -> AsyncIterator[Any]:
        if kind_of(value) == "sync":
            return self._threaded(value)
        iterator: AsyncIterator[Any] = aiter(value)
        return iterator

    def _threaded(self, value: Any) -> AsyncIterator[Any]:
        slot, self._thread = self._thread or reserve_thread(), None  # the iterator releases it when it is closed
        # In a test, the source runs where the test's data can be seen.
        executor = SingleThreadExecutor("adrf_sse source") if thread_context() is not None else None
        return ThreadedIterator(value, executor, slot.release)
