"""Sources: every kind of thing that events can come from, opened, read and closed in one way."""

from collections.abc import AsyncIterator
from inspect import isawaitable
from types import TracebackType
from typing import Any, Literal

from adrf_sse.runtime.contexts import thread_context
from adrf_sse.runtime.threads import OneThread, ThreadedIterator, sync_slots
from adrf_sse.settings import sse_settings

Kind = Literal["manager", "async", "awaitable", "sync"]


def kind_of(value: Any) -> Kind | None:
    """Tell which kind of source a value is; ``None`` for what is data, such as a list, a dict or a queryset."""
    cls = type(value)
    if hasattr(cls, "__aenter__"):
        return "manager"
    if hasattr(cls, "__anext__") or (hasattr(cls, "__aiter__") and not hasattr(cls, "__iter__")):
        return "async"
    if isawaitable(value):
        return "awaitable"
    return "sync" if hasattr(cls, "__next__") else None


def is_source(value: Any) -> bool:
    """Tell a source from data."""
    return kind_of(value) is not None


class Source:
    """Hold a source, which ``async with`` opens and closes.

    Raises ``TypeError`` for what is none, and ``TooManySyncStreams`` where a synchronous one finds no thread.
    """

    __slots__ = ("_claimed", "_iterator", "_manager", "_value")

    def __init__(self, value: Any) -> None:
        self._claimed = False
        self._manager: Any = None
        self._value = _checked(value)
        if kind_of(value) == "sync":
            self._claim()

    def __repr__(self) -> str:
        return getattr(self._value, "__qualname__", None) or type(self._value).__qualname__

    async def __aenter__(self) -> AsyncIterator[Any]:
        """Open the source and give its iterator.

        All in the task that calls this and ``__aexit__``, so that what a source holds across its yields (a task group,
        a ``ContextVar``, a timeout) belongs to one task.
        """
        if kind_of(self._value) == "awaitable":
            self._value = _checked(await self._value)
        value = self._value
        if kind_of(value) == "manager":
            self._manager = value
            value = await value.__aenter__()
        try:
            self._iterator = self._iterator_of(_checked(value))
        except BaseException as exc:
            await self._leave(exc)
            raise
        return self._iterator

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Close the iterator, then leave the source."""
        try:
            await self._close_iterator()
        except BaseException as error:
            if not await self._leave(error):
                raise
            return True
        return await self._leave(exc)

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

    def __del__(self) -> None:
        self._release()

    def discard(self) -> None:
        """Give up a source that was never opened."""
        self._release()
        discard(self._value)

    def _iterator_of(self, value: Any) -> AsyncIterator[Any]:
        if kind_of(value) == "sync":
            return self._threaded(value)
        iterator: AsyncIterator[Any] = aiter(value)
        return iterator

    def _threaded(self, value: Any) -> AsyncIterator[Any]:
        if not self._claimed:
            self._claim()
        self._claimed = False  # the thread gives the slot back when it ends
        # In a test, the source runs where the test's data can be seen.
        executor = OneThread("adrf_sse source") if thread_context() is not None else None
        return ThreadedIterator(value, executor, sync_slots.give_back)

    def _claim(self) -> None:
        sync_slots.take(sse_settings.MAX_SYNC_STREAMS)
        self._claimed = True

    def _release(self) -> None:
        if self._claimed:
            self._claimed = False
            sync_slots.give_back()


def discard(value: Any) -> None:
    """Give up a source that nothing has opened, without the warnings that its end would bring."""
    if kind_of(value) in ("awaitable", "sync"):
        close = getattr(value, "close", None)
        if close is not None:
            close()


def _checked(value: Any) -> Any:
    if kind_of(value) is None:
        raise TypeError(
            "a source must be an async iterator, an iterator, or an async context manager that yields an async "
            f"iterable, got {value!r}. Yield the events from a generator, or pass iter() of a list."
        )
    return value
