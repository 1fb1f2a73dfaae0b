"""Announcements: which rows of a model a transaction has changed, published when it commits.

An announcement contains primary keys only. Whoever receives it reads the rows, and so always sees their latest state,
whatever the order in which transactions commit and announce.

If the broker joins the transaction, an announcement is published inside it at once: the broker delivers it when the
transaction commits, and a savepoint that is rolled back takes it along. An error then fails the transaction. Otherwise,
Django publishes the merged announcements of a transaction after its commit.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from django.db import models, router, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import message_body
from adrf_sse.channels.live_models import Model, concrete_model, fields_of, live_models, load_views
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.logs import about, logger

KEYS_PER_EVENT = 500
"""Primary keys in one event at most."""

MAX_KEYS = 10_000
"""Rows of one announcement at most; with more of them, everything may have changed."""

Keys = dict[str, None]
"""Primary keys in the order of their changes, each once."""

Changes = dict[str, Keys | None]
"""The primary keys that changed, by channel; ``None`` where every row may have changed."""

Partition = tuple[str, Any]
"""A field by which lists are partitioned, and its value."""

_DEFERRED = object()
_PLAIN = re.compile(r"[A-Za-z0-9._-]{0,60}")


def channel_of(model: Model, field: str | None, value: Any = None) -> str:
    """Return the channel for the announcements of a model, or of its rows with one value of a field."""
    channel = f"adrf-sse.live:{concrete_model(model)._meta.label_lower}"
    if field is None:
        return channel
    text = "" if value is None else str(value)
    if not _PLAIN.fullmatch(text):
        text = f"-{blake2b(text.encode(), digest_size=16).hexdigest()}"
    return f"{channel}:{field}:{text}"


def announce(rows: "models.QuerySet[Any] | models.Model | Iterable[models.Model]") -> None:
    """Tell live lists that rows were created, changed or deleted, when the current transaction commits.

    ``save()``, ``delete()`` and changes of many-to-many relations announce themselves. Call this after ``update()``,
    ``bulk_create()``, ``bulk_update()`` and SQL of your own, with a queryset or with instances. If an ``update()``
    changes the field that a list is ``live_by``, call it before the ``update()``, too. Raises ``ValueError`` for
    a model without a live list.
    """
    load_views()
    if isinstance(rows, models.QuerySet):
        _announce_queryset(rows)
        return
    for instance in [rows] if isinstance(rows, models.Model) else rows:
        _check(type(instance))
        announce_instance(instance, _alias_of_writes(type(instance), instance._state.db))


def announce_instance(instance: models.Model, using: str, before: Iterable[Partition] = ()) -> None:
    """Announce a row when the current transaction commits, also to those who saw it ``before``."""
    for model in live_models(type(instance)):
        key = _key_of(instance, model)
        values = {*before, *_partitions_of(instance, model, using)}
        # A row that was created with an unknown primary key may be any row.
        _add(using, {channel: None if key is None else {key: None} for channel in _channels(model, values)})


def partitions_in_database(instance: models.Model, using: str) -> Iterable[Partition]:
    """Yield the partitions of a row in the database, each as the field and its value."""
    for model in live_models(type(instance)):
        key, fields = _key_of(instance, model), partition_fields(model)
        if fields and key is not None:
            rows = model._base_manager.using(using).filter(pk=key)
            values = rows.values_list(*(attname(model, field) for field in fields)).first()
            yield from zip(fields, values or (), strict=False)


def _partitions_of(instance: models.Model, model: Model, using: str) -> Iterable[Partition]:
    """Return the partitions of a row of a model, from the database if the instance does not have the values."""
    values = {field: vars(instance).get(attname(model, field), _DEFERRED) for field in partition_fields(model)}
    if any(value is _DEFERRED or hasattr(value, "resolve_expression") for value in values.values()):
        return partitions_in_database(instance, using)
    return values.items()


def _key_of(instance: models.Model, model: Model) -> str | None:
    """Return the primary key of a row, as an instance that was read from the database has it."""
    value = getattr(instance, _meta(model).pk.attname)
    if value is None:  # an instance from a fixture has only the link to its parent's row
        link = _meta(type(instance)).get_ancestor_link(model)
        value = None if link is None else getattr(instance, link.attname)
    return None if value is None else str(_meta(model).pk.to_python(value))


def announce_keys(model: Model, keys: Iterable[Any] | None, using: str) -> None:
    """Announce the rows with some primary keys, or that every row may have changed."""
    if keys is not None:
        _announce_queryset(model._base_manager.using(using).filter(pk__in=list(keys)))
        return
    for live in live_models(model):
        _add_everything(live, using)


def _alias_of_writes(model: Model, alias: str | None) -> str:
    """Return the database whose transaction changes rows of a database. A router may read from a replica."""
    return router.db_for_write(model) if alias in (None, router.db_for_read(model)) else str(alias)


def _announce_queryset(rows: "models.QuerySet[Any]") -> None:
    _check(rows.model)
    rows = rows.using(_alias_of_writes(rows.model, rows.db))
    for model in live_models(rows.model):
        fields = partition_fields(model)
        changes: Changes = {}
        for key, *values in rows.values_list("pk", *(attname(model, field) for field in fields)).iterator():
            for channel in _channels(model, zip(fields, values, strict=True)):
                _merge(changes, channel, {str(key): None})
        _add(rows.db, changes)


def _add_everything(model: Model, using: str) -> None:
    channels = [channel_of(model, None)] if None in fields_of(model) else []
    for field in partition_fields(model):
        values = model._base_manager.using(using).order_by().values_list(attname(model, field), flat=True).distinct()
        channels += [channel_of(model, field, value) for value in values.iterator()]
    _add(using, dict.fromkeys(channels))


def _channels(model: Model, values: Iterable[Partition]) -> list[str]:
    channels = [channel_of(model, field, value) for field, value in values]
    return [channel_of(model, None), *channels] if None in fields_of(model) else channels


def _check(model: Model) -> None:
    if not live_models(model):
        raise ValueError(
            f"announce() must get rows of a model that has a live list, got rows of {model._meta.label}. "
            "Add LiveModelMixin to a viewset of the model, and route the viewset."
        )


def _meta(model: Model) -> Any:
    return model._meta


def partition_fields(model: Model) -> list[str]:
    """Return the fields that partition the live lists of a model."""
    return [field for field in fields_of(model) if field]


def attname(model: Model, field: str) -> str:
    """Return the attribute that contains the value of a field, the key of a related row for one."""
    return str(_meta(model).get_field(field).attname)


class _Announcement:
    """The changes of one transaction, or of one savepoint, by channel. Called when the transaction has committed."""

    def __init__(self, block: Any) -> None:
        self._block = block  # the outermost atomic() of the transaction
        self._changes: Changes = {}

    def is_in(self, blocks: list[Any]) -> bool:
        """Return whether it is announced together with the changes of these blocks."""
        return bool(blocks) and blocks[0] is self._block

    def add(self, changes: Changes) -> None:
        for channel, keys in changes.items():
            _merge(self._changes, channel, keys)

    def __call__(self) -> None:
        try:
            _publish(self._changes)
        except BrokerUnavailable as exc:
            # The transaction has committed; an exception would tell the caller that it has not.
            message = "Could not announce rows that were saved to live lists: %s"
            logger.error(message, exc, extra=about(None, channels=sorted(self._changes)))


def _publish(changes: Changes) -> None:
    broker = get_broker()
    for channel, keys in changes.items():
        for some in _portions(keys):
            broker.publish(channel, message_body({"pk": some}, None))


def _merge(changes: Changes, channel: str, keys: Keys | None) -> None:
    known = changes.setdefault(channel, {})
    if known is not None and keys is not None and len(known) + len(keys) <= MAX_KEYS:
        known |= keys
    else:
        changes[channel] = None


def _portions(keys: Keys | None) -> Iterable[list[str] | None]:
    if keys is None:
        return [None]
    ordered = list(keys)
    return [ordered[start : start + KEYS_PER_EVENT] for start in range(0, len(ordered), KEYS_PER_EVENT)]


def _add(using: str, changes: Changes) -> None:
    """Announce changes when the transaction commits, inside it or together with its other changes."""
    connection = transaction.get_connection(using)
    if get_broker().joins_transaction(using) and (connection.in_atomic_block or not connection.get_autocommit()):
        _publish(changes)
        return
    # The transaction of a TestCase never commits. There, captureOnCommitCallbacks() captures only new callbacks.
    blocks = [block for block in connection.atomic_blocks if not block._from_testcase]
    # A savepoint that is rolled back drops its own callbacks, so its changes must not be in an outer announcement.
    savepoints = set(connection.savepoint_ids)
    for ids, callback, *_ in connection.run_on_commit:
        if isinstance(callback, _Announcement) and ids == savepoints and callback.is_in(blocks):
            callback.add(changes)
            return
    announcement = _Announcement(blocks[0] if blocks else None)
    announcement.add(changes)
    transaction.on_commit(announcement, using=using)
