"""The models that have live lists, and the fields that partition the lists."""

from importlib import import_module

from django.conf import settings
from django.db import models

from adrf_sse.logs import about, logger

Model = type[models.Model]

_fields: dict[Model, set[str | None]] = {}
_views_are_loaded = False


def add_live_model(model: Model, field: str | None) -> bool:
    """Add a model with a live list that is partitioned by a field, or not partitioned. Return whether it is new."""
    concrete = concrete_model(model)
    is_new = concrete not in _fields
    _fields.setdefault(concrete, set()).add(field)
    return is_new


def live_models(model: Model) -> list[Model]:
    """Return the models with live lists whose rows an instance of a model has: its own, and its parents'."""
    return [live for live in tuple(_fields) if issubclass(model, live)]


def fields_of(model: Model) -> set[str | None]:
    """Return the fields that partition the lists of a model; ``None`` if one of the lists is not partitioned."""
    return _fields[concrete_model(model)]


def load_views() -> None:
    """Import the project's URLconf, and so its viewsets, because a shell or a worker does not do so by itself."""
    global _views_are_loaded
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    if _views_are_loaded or not isinstance(urlconf, str):
        return
    try:
        import_module(urlconf)  # waits while another thread imports it
    except Exception:
        message = "Could not import %s, so this process announces no changes of models to live lists."
        logger.exception(message, urlconf, extra=about(None))
    _views_are_loaded = True


def concrete_model(model: Model) -> Model:
    """Return the model that has the table of a proxy model, or the model itself."""
    concrete: Model = model._meta.concrete_model or model
    return concrete
