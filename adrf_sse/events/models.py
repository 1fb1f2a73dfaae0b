"""Models: pydantic models, dataclasses and msgspec structs, which events send as the JSON that they stand for."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Model
from django.db.models.query import QuerySet, RawQuerySet
from rest_framework.utils.encoders import JSONEncoder

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.fields import NotData

Default = Callable[[Any], Any]
"""The ``default()`` of a JSON encoder, which returns a value that it can encode in place of one that it can't."""

Convert = Callable[[Any, Default], Any]
"""Returns the value in place of a model. It may call the ``Default`` for what the model contains."""

_SCALARS = {bool, float, int, str, type(None)}
"""Types that every encoder encodes."""

_ARRAYS = (list, tuple)
"""Types that encoders encode as JSON arrays."""


@lru_cache(maxsize=32)
def with_models(encoder_class: type) -> type[Any]:
    """Return a subclass of a JSON encoder class that also encodes models.

    The ``default()`` of a project's class decides first: it reaches the one here with ``super().default()``. The one
    here decides before REST framework's, which encodes a pydantic model as a list of its fields.
    """
    if not issubclass(encoder_class, json.JSONEncoder):
        return encoder_class
    own = _DRFModelEncoder if issubclass(encoder_class, JSONEncoder) else _ModelEncoder
    bases = (own,) if issubclass(own, encoder_class) else (encoder_class, own)
    return type(encoder_class.__name__, bases, {})


def without_models(data: Any, default: Default) -> Any:
    """Return the data with what ``default`` returns for each model in it. Return data without models as it is."""
    if not _has_models(data):
        return data
    if isinstance(data, dict):
        return {key: without_models(value, default) for key, value in data.items()}
    if isinstance(data, _ARRAYS):
        return [without_models(value, default) for value in data]
    return without_models(default(data), default)


def _has_models(data: Any) -> bool:
    # A project's render() is called for each event, so most values cost one look-up only.
    cls: Any = type(data)
    if issubclass(cls, dict):
        data = data.values()
    elif not issubclass(cls, _ARRAYS):
        return cls not in _SCALARS and _converter(cls) is not None
    for value in data:
        if type(value) in _SCALARS:
            continue
        if _has_models(value):
            return True
    return False


class _ModelEncoder(json.JSONEncoder):
    """Encode models."""

    def default(self, o: Any) -> Any:
        cls: Any = type(o)
        convert = _converter(cls)
        return super().default(o) if convert is None else convert(o, self.default)


class _DRFModelEncoder(_ModelEncoder, JSONEncoder):
    """Encode models, and what REST framework's encoder encodes."""


@lru_cache(maxsize=512)
def _converter(cls: type) -> Convert | None:
    """Return what converts the instances of a class, or ``None`` if they are not models.

    A library whose module is not imported can't have made an instance.
    """
    if issubclass(cls, ServerSentEvent | Model | QuerySet | RawQuerySet):
        return _refuse
    if _is_subclass(cls, "pydantic.main", "BaseModel"):
        return _of_pydantic
    if _is_subclass(cls, "msgspec", "Struct"):
        return _of_msgspec
    return _of_dataclass if is_dataclass(cls) else None


def _is_subclass(cls: type, module: str, name: str) -> bool:
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(cls, base)


def _of_pydantic(model: Any, default: Default) -> Any:
    return model.model_dump(mode="json")


def _of_msgspec(struct: Any, default: Default) -> Any:
    return sys.modules["msgspec"].to_builtins(struct, enc_hook=default)


def _of_dataclass(instance: Any, default: Default) -> Any:
    # As asdict() does, but without its deep copy. The encoder converts the dataclasses in it one by one.
    return {field.name: getattr(instance, field.name) for field in fields(instance)}


def _refuse(value: Any, default: Default) -> Any:
    match value:
        case Model():
            came, advice = f"an instance of the Django model {type(value).__name__}", "Pass serializer.data"
        case ServerSentEvent():
            came, advice = "a ServerSentEvent inside the data", "Yield the event itself, or pass its data"
        case _:
            came = f"a queryset of the Django model {value.model.__name__}"
            advice = "Pass serializer.data, or a list of values()"
    raise NotData(f"data must be text, JSON, or a model that stands for JSON, got {came}. {advice}.")
