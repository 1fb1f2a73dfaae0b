"""The source of a live list: a snapshot of the rows, and then their changes."""

from collections.abc import Callable, Collection, Hashable
from typing import Any

from django.db import connections
from django.utils import timezone, translation

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels.channel import current_event_id
from adrf_sse.channels.cursor import Cursor
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.fields import JSONEncode
from adrf_sse.live.changes import Form
from adrf_sse.live.group import Read, group_of
from adrf_sse.live.rows import Reading, read_rows


class LiveList(Subscription):
    """Stream the rows that a viewset's client may see as a snapshot, and then their changes.

    The rows are read when the object is created, in the thread of the view, so that an error is the view's error.
    ``channel`` is the one of the announcements. Clients with the same ``key`` see the same rows in the same form.
    """

    def __init__(self, view: Any, channel: str, key: Hashable, to_json: JSONEncode) -> None:
        super().__init__(frozenset([channel]), None)
        self._key = key
        self._channel = channel
        self._form = Form(view.lookup_field, to_json)
        self._read = _reader(view, to_json)
        self._position = current_event_id()
        rows = self._read(None).rows
        self._snapshot = {key: row.mark for key, row in rows.items()}
        self._first = ChannelEvent(channel, self._position, self._form.snapshot(rows))
        # In a transaction, the database may show the rows as they were when it began.
        self._recheck = any(connection.in_atomic_block for connection in connections.all(initialized_only=True))

    def __repr__(self) -> str:
        return f"LiveList({self._channel})"

    def begin_stream(self) -> None:
        """Change nothing: a live list begins with its snapshot."""

    async def open(self) -> None:
        """Join the clients that see the same rows."""
        assert self._cursor is not None
        await self._join(self._cursor)

    def _new_cursor(self, on_lag: Callable[[], None] | None = None) -> Cursor:
        self._on_lag = on_lag
        cursor = super()._new_cursor(on_lag)
        cursor.add_early([self._first])
        del self._first  # a list of many rows must not stay in memory with its stream
        return cursor

    async def _join(self, cursor: Cursor) -> None:
        group = self._hub = group_of(self._key, self._channel, self._form)
        try:
            await group.join(cursor, self._read, self._snapshot, self._position, self._recheck)
        except BaseException:
            await self.leave()
            raise
        self._snapshot = {}

    def _begin_to_catch_up(self) -> None:
        """End the stream of a client that has lost its place. It reconnects and receives a new snapshot."""
        if self._on_lag is not None:
            self._on_lag()


def _reader(view: Any, to_json: JSONEncode) -> Read:
    """Return a function that reads a viewset's rows in the language and the time zone of its request."""
    language, zone = translation.get_language(), timezone.get_current_timezone()

    def read(keys: Collection[str] | None) -> Reading:
        with translation.override(language), timezone.override(zone):
            return read_rows(view, to_json, keys)

    return read
