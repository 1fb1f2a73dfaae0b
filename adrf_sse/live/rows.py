"""Rows: what a viewset's client may see, as JSON."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from adrf_sse.events.fields import JSONEncode


class Row(NamedTuple):
    """A row, serialized."""

    lookup: Any
    """The value of the viewset's lookup field, by which clients know the row."""
    body: bytes
    """The row as JSON."""

    @property
    def mark(self) -> "Mark":
        """What is kept of the row, to tell whether it has changed."""
        return Mark(self.lookup, hash(self.body))


class Mark(NamedTuple):
    """What a client has received of a row."""

    lookup: Any
    digest: int


Rows = Mapping[str, Row]
"""Rows by primary key, in the order of the queryset."""


class Reading(NamedTuple):
    """The rows that were read."""

    rows: Rows
    keys: Collection[str] | None
    """The primary keys that were looked for, or ``None`` for all rows."""


def read_rows(view: Any, to_json: JSONEncode, keys: Collection[str] | None = None) -> Reading:
    """Read the rows of a viewset's queryset, filtered as its list is, or those of them with some primary keys."""
    queryset = view.filter_queryset(view.get_queryset())
    if keys is not None and queryset.query.is_sliced:
        keys = None
    if keys is not None:
        queryset = queryset.filter(pk__in=list(keys))
    serialize = view.get_serializer(many=True).child.to_representation
    rows = {
        str(instance.pk): Row(getattr(instance, view.lookup_field), to_json(serialize(instance)))
        for instance in queryset
    }
    return Reading(rows, keys)
