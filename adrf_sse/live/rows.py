"""Rows: what a viewset's client may see, as JSON."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.db import models

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
    queryset = _filtered(view, view.get_queryset())
    if keys is not None and _needs_all_rows(queryset.query):
        keys = None
    if keys is not None:
        queryset = queryset.filter(pk__in=list(keys))
    instances = list(queryset)
    serialized = _serialized(view.get_serializer(many=True).child, instances)
    rows = {
        str(instance.pk): Row(_lookup_value(instance, view.lookup_field), to_json(data))
        for instance, data in zip(instances, serialized, strict=True)
    }
    return Reading(rows, keys)


def _filtered(view: Any, queryset: Any) -> Any:
    """Filter a queryset as the view's list does: a list of adrf with ``afilter_queryset()``."""
    filter_async = getattr(view, "afilter_queryset", None)
    return view.filter_queryset(queryset) if filter_async is None else async_to_sync(filter_async)(queryset)


def _serialized(serializer: Any, instances: Iterable[models.Model]) -> Iterable[Any]:
    """Serialize rows as the view's list does: with ``ato_representation()`` if a serializer of adrf has it."""
    serialize_async = getattr(serializer, "ato_representation", None)
    if serialize_async is None:
        return map(serializer.to_representation, instances)

    async def serialize() -> list[Any]:
        serialized = []
        for instance in instances:
            serialized.append(await serialize_async(instance))
            await asyncio.sleep(0)  # let the event loop do other work between two rows
        return serialized

    return async_to_sync(serialize)()


def _needs_all_rows(query: Any) -> bool:
    """Return whether a query selects or computes a row by other rows, so that a filter would give other rows."""
    windows = any(getattr(value, "contains_over_clause", False) for value in query.annotations.values())
    return bool(query.is_sliced or query.combinator or query.distinct_fields or windows)


def _lookup_value(instance: models.Model, lookup: str) -> Any:
    """Return the value of a lookup field, which may be a related row's, or end with a lookup such as ``iexact``."""
    *path, last = lookup.split("__")
    for name in path:
        value = getattr(instance, name)
        if not isinstance(value, models.Model):
            return value
        instance = value
    return instance.serializable_value(last)
