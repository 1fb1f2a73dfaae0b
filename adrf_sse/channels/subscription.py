"""Subscriptions: what ``subscribe()`` returns."""

import asyncio
import re
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels.cursor import Cursor, State
from adrf_sse.channels.hub import hub_of
from adrf_sse.events.event import is_too_long
from adrf_sse.runtime.loops import hold_task
from adrf_sse.streams.pump import running_stream
from adrf_sse.streams.sources import DirectSource
from adrf_sse.validators import shown

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

_NUMBER = re.compile(r"[0-9]{1,16}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Joined(Protocol):
    """What a cursor has joined: a hub, or a group that delivers events in another way."""

    async def catch_up(self, cursor: Cursor) -> None:
        """Let a cursor that is behind read the events that it has missed."""

    async def leave(self, cursor: Cursor) -> None:
        """Remove a cursor."""


class Subscription(DirectSource):
    """A subscription, which ``subscribe()`` returns. It is a source: a view can return it.

    ``async with`` subscribes, and returns an asynchronous iterator of the events. Leaving the block unsubscribes.
    Iterating raises ``SubscriberLagged`` if the subscriber falls too far behind.
    """

    # If it is a stream's source, the stream reads the events without a task of its own.

    _cursor_class = Cursor
    _announces_start = True
    """Whether a stream of these events begins with ``ready``."""

    def __init__(
        self,
        channels: frozenset[str],
        last_event_id: str | int | None,
        on_behind: Callable[[], None] | None = None,
        user: str | None = None,
    ) -> None:
        """Where a task reads the events, ``on_behind`` is called when history may have to be read again."""
        self.channels = channels
        self._user = user
        self._on_behind = on_behind
        self._on_end: Callable[[], None] | None = None
        self._number = event_number(last_event_id)
        self._unknown_id = last_event_id not in (None, "") and self._number is None
        self._last_event_id = last_event_id if _can_be_repeated(str(last_event_id)) else None
        self._cursor: Cursor | None = None
        self._hub: Joined | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._stream: Lifecycle | None = None  # whose source has entered this
        self._begins_stream = False  # with ready, once what was missed is read

    def __repr__(self) -> str:
        return f"subscribe({', '.join(sorted(self.channels))})"

    # Iterated by a task

    async def __aenter__(self) -> "Subscription":
        cursor = self._new_cursor()
        self._stream = running_stream()
        if self._stream is not None:
            self._stream.subscriptions += (self.channels,)
        await self._join(cursor)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> ChannelEvent:
        """Return the next event. Raises ``SubscriberLagged`` if more than ``MAX_SUBSCRIBER_BACKLOG`` events waited."""
        cursor, hub = self._cursor, self._hub
        if cursor is None or hub is None:
            raise RuntimeError(
                "A subscription must be entered first, got iterated as it is. Use 'async with' around it."
            )
        while (event := cursor.next_event()) is None:
            if cursor.ended:
                raise StopAsyncIteration  # it was left meanwhile
            if self._begins_stream and cursor.state is State.LIVE:
                self._begins_stream = False
                return cursor.ready_event()
            if cursor.state is State.BEHIND:
                await hub.catch_up(cursor)
            else:
                await cursor.wait_for_frames()
        return event

    # Read by a stream

    def begin_stream(self) -> None:
        """Let a task that iterates this receive ``ready``, as a stream does that reads the events directly."""
        self._begins_stream = self._announces_start

    def new_buffer(self, on_lag: Callable[[], None], on_end: Callable[[], None]) -> Cursor:
        """Return a cursor that catches up by itself whenever it is behind."""
        self._on_end = on_end
        return self._new_cursor(on_lag)

    async def open(self) -> None:
        """Join the audience, and catch up until the cursor is live."""
        assert self._cursor is not None
        await self._join(self._cursor)
        try:
            await self._catch_up()
        except BaseException:
            await self.leave()
            raise
        if self._announces_start and self._cursor.state is State.LIVE:
            self._cursor.put_ready()

    async def leave(self) -> None:
        """Receive nothing more; the stream can still take what is in the cursor."""
        if self._stream is not None:
            left = self._stream.subscriptions.index(self.channels)
            self._stream.subscriptions = self._stream.subscriptions[:left] + self._stream.subscriptions[left + 1 :]
            self._stream = None
        if self._cursor is None or self._hub is None:
            return
        self._cursor.leave()
        if self._catching_up is not None:
            self._catching_up.cancel()
        try:
            await self._hub.leave(self._cursor)
        finally:
            self._cursor.end()

    # Both

    def _new_cursor(self, on_lag: Callable[[], None] | None = None) -> Cursor:
        if self._cursor is not None:
            raise RuntimeError("A subscription must be entered once, got entered again. Call subscribe() anew.")
        on_behind = self._on_behind if on_lag is None else self._begin_to_catch_up
        self._cursor = self._cursor_class(
            self.channels,
            self._number,
            user=self._user,
            on_lag=on_lag,
            on_behind=on_behind,
            on_last=self._begin_to_end,
        )
        return self._cursor

    async def _join(self, cursor: Cursor) -> None:
        """Join the audience, and read the first page of history."""
        hub = self._hub = hub_of(get_broker())
        try:
            await hub.join(cursor)
            if self._unknown_id:
                await hub.reset(cursor, self._last_event_id)
            await hub.catch_up(cursor)
        except BaseException:
            await self.leave()
            raise

    async def _catch_up(self) -> None:
        assert self._cursor is not None
        assert self._hub is not None
        cursor = self._cursor
        while cursor.state is State.BEHIND:
            if cursor.has_early:
                await cursor.wait_for_room()
            else:
                await self._hub.catch_up(cursor)

    def _begin_to_catch_up(self) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    def _begin_to_end(self) -> None:
        hold_task(asyncio.get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        """Leave, because the channel has ended, and let the stream end."""
        await self.leave()
        if self._cursor is not None:
            self._cursor.end()
        if self._on_end is not None:
            self._on_end()


def _can_be_repeated(last_event_id: str) -> bool:
    """Return whether a ``reset`` may contain an unknown ID: it must be short, and UTF-8 must be able to encode it."""
    return not is_too_long(last_event_id) and _SURROGATE.search(last_event_id) is None


def event_number(last_event_id: str | int | None) -> int | None:
    """Return an event ID as a number, or ``None`` if no broker assigns such an ID."""
    if isinstance(last_event_id, bool) or not isinstance(last_event_id, str | int | None):
        raise TypeError(
            f"last_event_id must be a str, an int or None, got {shown(last_event_id)}. Pass view.last_event_id."
        )
    text = str(last_event_id)
    return int(text) if _NUMBER.fullmatch(text) else None
