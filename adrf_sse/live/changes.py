"""Changes: the events that turn what a client has into the rows that it may see now."""

from collections.abc import Collection, Iterator

from adrf_sse.brokers.messages import message_body
from adrf_sse.events.fields import JSONEncode
from adrf_sse.live.rows import Mark, Rows

SNAPSHOT, CREATED, UPDATED, DELETED = "snapshot", "created", "updated", "deleted"
"""The names of the events."""


class Form:
    """The form of a live list's events: the name of the lookup field, and the encoder of the data."""

    def __init__(self, lookup_field: str, to_json: JSONEncode) -> None:
        self.lookup_field = lookup_field
        self.to_json = to_json

    def snapshot(self, rows: Rows) -> bytes:
        """Return an event with all rows."""
        return _encoded(b"[%s]" % b",".join(row.body for row in rows.values()), SNAPSHOT)

    def changes(self, known: dict[str, Mark], rows: Rows, keys: Collection[str]) -> Iterator[bytes]:
        """Yield the events for the rows with these primary keys, and note in ``known`` what they say.

        Deletions come first, because another row may have the lookup value now.
        """
        for key in keys:
            before, row = known.get(key), rows.get(key)
            if before is not None and (row is None or row.lookup != before.lookup):
                del known[key]
                yield message_body({self.lookup_field: before.lookup}, DELETED, self.to_json)
        for key in keys:
            before, row = known.get(key), rows.get(key)
            if row is not None and row.mark != before:
                known[key] = row.mark
                yield _encoded(row.body, CREATED if before is None else UPDATED)


def _encoded(data: bytes, event: str) -> bytes:
    """Return an event whose data is JSON already."""
    return message_body(data, event, lambda encoded: encoded)
