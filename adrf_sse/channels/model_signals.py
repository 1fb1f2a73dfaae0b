"""Signal receivers that announce the rows that are saved, deleted or related anew, for models with live lists."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from adrf_sse.channels.announcements import (
    announce_instance,
    announce_keys,
    attname,
    partition_fields,
    partitions_in_database,
)
from adrf_sse.channels.live_models import Model, add_live_model, concrete_model, live_models, load_views

_BEFORE = "_adrf_sse_before"  # an attribute of instances, between the two signals of save() and of delete()
_RELATED = ("post_add", "post_remove", "post_clear")


def watch_model(model: Model, field: str | None) -> None:
    """Announce the changes of a model from now on, for a live list that is partitioned by a field."""
    if add_live_model(model, field) and apps.models_ready:
        _connect(model)


def watch_first_change() -> None:
    """Load the project's viewsets with the first change of any model, and connect the receivers of live models.

    A receiver for all models would make every deletion in the project slower, so these disconnect themselves.
    """
    for model in apps.get_models():
        if live_models(model):
            _connect(model)
    pre_save.connect(_first_save, dispatch_uid=_BEFORE)
    pre_delete.connect(_first_change, dispatch_uid=_BEFORE)
    m2m_changed.connect(_first_change, dispatch_uid=_BEFORE)


def _first_change(sender: Any, **kwargs: Any) -> None:
    if sender.__module__ == "__fake__":
        return  # a historical model of a migration
    for signal in (pre_save, pre_delete, m2m_changed):
        signal.disconnect(dispatch_uid=_BEFORE)
    load_views()


def _first_save(sender: Any, **kwargs: Any) -> None:
    _first_change(sender)
    # Receivers that are connected while a signal is sent do not receive it.
    if live_models(sender):
        _before_save(sender, **kwargs)


def _connect(model: Model) -> None:
    """Connect the receivers for a model, its proxies and the models that inherit from it."""
    for sender in apps.get_models(include_auto_created=True):
        if not issubclass(sender, concrete_model(model)):
            continue
        pre_save.connect(_before_save, sender=sender, dispatch_uid=_BEFORE)
        post_save.connect(_after_change, sender=sender, dispatch_uid=_BEFORE)
        pre_delete.connect(_before_delete, sender=sender, dispatch_uid=_BEFORE)
        post_delete.connect(_after_change, sender=sender, dispatch_uid=_BEFORE)
        for through in _relations_of(sender):
            m2m_changed.connect(_after_relation, sender=through, dispatch_uid=_BEFORE)


def _relations_of(model: Model) -> Iterator[Any]:
    """Yield the models of the many-to-many relations of a model, which it or another model declares."""
    for field in model._meta.many_to_many:
        yield field.remote_field.through
    for relation in model._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToManyRel):
            yield relation.through


def _before_save(sender: Model, instance: models.Model, using: str, raw: bool = False, **kwargs: Any) -> None:
    """Remember the partitions of the row that is saved, because those who see it there may see it no longer."""
    pk: Any = sender._meta.pk
    if raw or not (instance._state.adding and pk.has_default()):
        _remember(instance, using)


def _before_delete(sender: Model, instance: models.Model, using: str, origin: Any = None, **kwargs: Any) -> None:
    """Remember the partitions of the row that is deleted, if the instance may have other values than the database.

    The instances that Django has just read, for a queryset or for a cascade, have the same values.
    """
    names = {attname(model, field) for model in live_models(sender) for field in partition_fields(model)}
    if isinstance(origin, sender) or names & instance.get_deferred_fields():
        _remember(instance, using)


def _remember(instance: models.Model, using: str) -> None:
    # Added to what is there: another receiver may save the instance between the two signals.
    vars(instance).setdefault(_BEFORE, set()).update(partitions_in_database(instance, using))


def _after_change(sender: Model, instance: models.Model, using: str, **kwargs: Any) -> None:
    announce_instance(instance, using, vars(instance).pop(_BEFORE, ()))


def _after_relation(
    sender: Model, instance: models.Model, action: str, reverse: bool, model: Model, pk_set: Any, using: str,
    **kwargs: Any
) -> None:  # fmt: skip
    """Announce the rows on the side of a many-to-many relation that has live lists."""
    if action not in _RELATED:
        return
    if live_models(type(instance)):
        announce_instance(instance, using)
    if live_models(model):
        announce_keys(model, pk_set, using)
