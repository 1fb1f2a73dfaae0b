"""Groups: the clients of a live list that see the same rows, for whom each row is read and serialized once."""

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from time import time_ns
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.channels.announcements import MAX_KEYS
from adrf_sse.channels.audience import Audience, Delivery
from adrf_sse.channels.cursor import Cursor
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.event import RESET_EVENT
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.live.changes import Form
from adrf_sse.live.rows import Mark, Reading
from adrf_sse.logs import about, logger
from adrf_sse.runtime.by_loop import ByLoop
from adrf_sse.runtime.loops import hold_task
from adrf_sse.runtime.stream_threads import enter_stream_thread, stream_threads

Read = Callable[[Collection[str] | None], Reading]
"""Reads the rows with some primary keys, or all rows, in a thread."""


class _Joining(NamedTuple):
    """A member whose snapshot differs from what the other members have received."""

    cursor: Cursor
    snapshot: dict[str, Mark]
    admitted: asyncio.Future[None]

    def admit(self) -> None:
        if not self.admitted.done():  # not cancelled
            self.admitted.set_result(None)

    def differing(self, known: dict[str, Mark]) -> list[str]:
        return [key for key in {**known, **self.snapshot} if known.get(key) != self.snapshot.get(key)]


class LiveGroup(Delivery):
    """Follow the announcements of a channel, read the rows that have changed, and send the changes to all members.

    Announcements that arrive while rows are read are followed by another reading. Each reading begins after the
    announcement, so the members always receive the latest state of a row, and each state once. All readings use the
    same stream thread, so they do not open a database connection for each change.
    """

    def __init__(self, key: Hashable, channel: str, form: Form, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._key = key
        self._channel = channel
        self._form = form
        self._audience = Audience(frozenset([channel]))
        self._known: dict[str, Mark] = {}  # what the members have received
        self._members: dict[Cursor, Read] = {}
        self._joining: list[_Joining] = []
        self._changed: dict[str, None] = {}  # primary keys of rows to read, in the order of their announcements
        self._all_changed = False
        self._number = 0
        self._context: Context | None = None  # the one of all tasks of the group
        self._following: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._outage = Outage(f"reading the rows of {channel}")

    # Members

    async def join(self, cursor: Cursor, read: Read, snapshot: dict[str, Mark], position: int, recheck: bool) -> None:
        """Add a member that has received a snapshot, which was read after a position of the broker.

        With ``recheck`` the rows are read again, because the snapshot may be older than the position.
        """
        self._members[cursor] = read
        cursor.log = self._audience
        if self._following is None:
            self._known = dict(snapshot)
            self._start(position)
        if recheck:
            self._note(None)
        joining = _Joining(cursor, snapshot, self._loop.create_future())
        differing = joining.differing(self._known)
        if not differing:
            self._go_live(cursor)
            return
        self._joining.append(joining)
        self._note(differing)
        await joining.admitted

    def _start(self, position: int) -> None:
        """Follow the announcements, and use a stream thread until that ends."""
        self._context = copy_context()
        thread = self._context.run(enter_stream_thread)
        self._following = self._loop.create_task(self._follow(position), context=self._context)
        if thread is not None:
            self._following.add_done_callback(lambda task: stream_threads.release(thread))

    async def catch_up(self, cursor: Cursor) -> None:
        """Refuse to read history: a member that has lost its place needs a new snapshot."""
        raise SubscriberLagged(cursor.last_id)

    async def leave(self, cursor: Cursor) -> None:
        """Remove a member. The last one ends the group."""
        if self._members.pop(cursor, None) is None:
            return
        self._remove(cursor)
        if self._members:
            return
        self._stop()
        if self._following is not None:
            await asyncio.wait([self._following])

    def _go_live(self, cursor: Cursor) -> None:
        cursor.last_id = self._number
        self._audience.cursors.add(cursor)
        self._audience.mark(cursor)
        cursor.go_live()

    def _remove(self, cursor: Cursor) -> None:
        self._audience.remove(cursor)
        self._joining = [joining for joining in self._joining if joining.cursor is not cursor]

    def _stop(self) -> None:
        """Read and follow nothing more. Who joins from now on joins a new group."""
        _groups.remove(self._key, self)
        for task in (self._following, self._reading):
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    def _fail(self, problem: str) -> None:
        logger.exception(problem, self._channel, extra=about(None))
        self._end()

    def _end(self) -> None:
        """End the streams of all members. Their clients reconnect and receive a new snapshot."""
        self._stop()
        for cursor in self._members:
            cursor.end()
        for joining in self._joining:
            joining.admit()
        self._members, self._joining = {}, []

    # Announcements

    async def _follow(self, position: int | None) -> None:
        try:
            while True:
                with suppress(SubscriberLagged):
                    subscription = Subscription(frozenset([self._channel]), position, partial(self._note, None))
                    async with subscription as events:
                        if position is None:
                            self._note(None)  # not before: what is announced from here on is received
                        async for event in events:
                            self._note(None if event.event == RESET_EVENT else event.data["pk"])
                position = None
        except Exception:
            self._fail("Could not follow the announcements of %s.")

    def _note(self, keys: Iterable[str] | None) -> None:
        """Let rows be read, or all rows."""
        if keys is not None:
            self._changed.update(dict.fromkeys(keys))
        self._all_changed = self._all_changed or keys is None or len(self._changed) > MAX_KEYS
        if self._reading is None or self._reading.done():
            self._reading = self._loop.create_task(self._read(), context=self._context)
            hold_task(self._reading)

    async def _read(self) -> None:
        attempts = 0
        while (self._changed or self._all_changed) and self._members:
            changed = None if self._all_changed else self._changed
            self._changed, self._all_changed = {}, False
            joining = tuple(self._joining)  # whose snapshots are older than what is read now
            try:
                self._send(await self._read_rows(changed), joining)
            except (OperationalError, InterfaceError) as exc:
                self._outage.failed(exc)
                self._changed = {**(changed or {}), **self._changed}
                self._all_changed = self._all_changed or changed is None
                attempts += 1
                await wait_before_attempt(attempts)
            except Exception:
                self._fail("Could not read the rows of %s.")
            else:
                self._outage.succeeded()
                attempts = 0

    async def _read_rows(self, keys: Collection[str] | None) -> Reading:
        """Read rows in the group's stream thread, as the newest member.

        All members see the same rows, but the user of a new one, and what the user may see, are not out of date.
        """
        return await sync_to_async(next(reversed(self._members.values())))(keys)

    # Events

    def _send(self, reading: Reading, may_join: Collection[_Joining]) -> None:
        """Send the changes to all members, and to those that are joining what their snapshots lack."""
        keys = {**self._known, **reading.rows} if reading.keys is None else reading.keys
        for body in self._form.changes(self._known, reading.rows, list(keys)):
            if not self._audience.append(self._event(body)):
                self._end()  # more changes at once than a log holds
                break
        for joining in may_join:
            if joining in self._joining:
                self._admit(joining, reading)
        if self._audience.has_more():
            self._due[self._audience] = None
        self._serve()

    def _admit(self, joining: _Joining, reading: Reading) -> None:
        """Send a new member what its snapshot lacks, if all of that was read now; otherwise, read it next."""
        differing = joining.differing(self._known)
        if reading.keys is not None and not set(differing) <= set(reading.keys):
            self._changed.update(dict.fromkeys(differing))
            return
        bodies = self._form.changes(joining.snapshot, reading.rows, differing)
        joining.cursor.add_early([self._event(body) for body in bodies])
        self._joining.remove(joining)
        self._go_live(joining.cursor)
        joining.admit()

    def _event(self, body: bytes) -> ChannelEvent:
        self._number = max(self._number + 1, time_ns() // 1000)
        return ChannelEvent(self._channel, self._number, body)


_groups: ByLoop[Hashable, LiveGroup] = ByLoop()


def group_of(key: Hashable, channel: str, form: Form) -> LiveGroup:
    """Return the group of the running loop whose members see the same rows."""
    return _groups.get(key, lambda: LiveGroup(key, channel, form, asyncio.get_running_loop()))
