"""Followers: subscriptions to the channel of a run, from any of its events to its end."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent, Page
from adrf_sse.brokers.outages import outage_of_calls
from adrf_sse.brokers.runs import Run, run_channel
from adrf_sse.channels.cursor import Cursor
from adrf_sse.channels.hub import hub_of
from adrf_sse.channels.subscription import Subscription, event_number
from adrf_sse.exceptions import RunNotFound
from adrf_sse.runs.bodies import lost_events
from adrf_sse.runs.watch import Watch, watch_of
from adrf_sse.settings import sse_settings

_reading = outage_of_calls("reading the state of a run")


async def find_run(run_id: str, last_event_id: Any = None) -> Run:
    """Return a run, and whether it has the client's last event. Raises ``RunNotFound``."""
    with _reading:
        run = await get_broker().runs.read(run_id, event_number(last_event_id))
    if run is None:
        raise RunNotFound
    return run


class _RunCursor(Cursor):
    """Read the history of a run, of which no event is ever missing: it begins with the first one.

    If events are missing nevertheless, the history is that of a later run with the same ID.
    """

    __slots__ = ("lose",)

    lose: Callable[[], None]
    """Tells the client that the rest of the run is lost."""

    def add_page(self, page: Page) -> None:
        if page.missed and page.events and self.last_id:
            self.lose()
        else:
            super().add_page(Page(page.events, page.position, page.complete))


class Follower(Subscription):
    """The events of a run, which ``follow()`` returns: ``async for event in follower``. It is a source, too.

    A last event ID that is not an ID of the run is disregarded: the client receives the run from its first event.
    Iterating raises ``RunNotFound`` if there is no such run.
    """

    _cursor_class = _RunCursor
    _announces_start = False

    def __init__(
        self,
        run_id: str,
        last_event_id: Any = None,
        run: Run | None = None,
        lost: Callable[[], Sequence[bytes]] = lost_events,
    ) -> None:
        """Pass ``run`` if it was found with the same last event ID. ``lost`` returns the last events of a lost run."""
        super().__init__(frozenset([run_channel(run_id)]), event_number(last_event_id))
        self._run_id = run_id
        self._run = run
        self._lost = lost
        self._watch: Watch | None = None

    def _new_cursor(self, on_lag: Callable[[], None] | None = None) -> Cursor:
        cursor = super()._new_cursor(on_lag)
        assert isinstance(cursor, _RunCursor)
        cursor.lose = self.lose
        return cursor

    def __repr__(self) -> str:
        return f"follow({self._run_id})"

    def __aiter__(self) -> Any:
        return self if self._cursor is not None else self._entered()

    async def _entered(self) -> AsyncIterator[ChannelEvent]:
        async with self:
            while True:
                try:
                    event = await self.__anext__()
                except StopAsyncIteration:
                    return
                yield event

    async def _join(self, cursor: Cursor) -> None:
        run = self._run or await find_run(self._run_id, self._number)
        cursor.last_id = self._number = self._number if run.has_event else 0
        if not run.is_active and self._number == run.last_id:
            self._hub = hub_of(get_broker())
            cursor.finish()  # the client has received everything
            return
        await super()._join(cursor)
        self._watch = watch_of(get_broker(), self._run_id)
        self._watch.add(self, run.lease if run.is_active else sse_settings.RUN_LEASE)

    def lose(self) -> None:
        """Tell the client that the broker has lost the run, which nobody produces any longer."""
        cursor = self._cursor
        if cursor is not None and not cursor.ended:
            number = cursor.last_id or 0
            cursor.add_early([ChannelEvent("", number, body) for body in self._lost()])

    async def leave(self) -> None:
        """Receive nothing more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.remove(self)
        await super().leave()
