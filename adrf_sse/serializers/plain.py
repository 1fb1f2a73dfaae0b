"""Plain serializers and plain data: serializing plain data with a plain serializer never blocks."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import adrf.fields
from rest_framework import fields, serializers

_FIELD_NAMES = (
    "BigIntegerField",
    "BooleanField",
    "CharField",
    "ChoiceField",
    "DateField",
    "DateTimeField",
    "DecimalField",
    "DurationField",
    "EmailField",
    "FloatField",
    "IntegerField",
    "IPAddressField",
    "JSONField",
    "ReadOnlyField",
    "RegexField",
    "SlugField",
    "TimeField",
    "URLField",
    "UUIDField",
)
_FIELDS = {vars(module)[name] for module in (fields, adrf.fields) for name in _FIELD_NAMES if name in vars(module)}
_REPRESENTATION = ("to_representation", "fields", "_readable_fields")
_ASYNC_REPRESENTATION = "ato_representation"  # of adrf's serializers only
_LIBRARIES = {"rest_framework.serializers", "adrf.serializers"}  # not imported, because the latter warns on Python 3.14
_SCALARS = {bool, bytes, date, datetime, Decimal, float, int, str, time, timedelta, type(None), UUID}


def is_plain(serializer: Any) -> bool:
    """Return whether a serializer or field runs only REST framework's own code if its data is plain."""
    cls = type(serializer)
    if cls in _FIELDS:
        return serializer.default is fields.empty or not callable(serializer.default)
    if cls.__name__ == "ListSerializer" and cls.__module__ in _LIBRARIES:
        return is_plain(serializer.child)
    names = [*_REPRESENTATION, *([_ASYNC_REPRESENTATION] if hasattr(cls, _ASYNC_REPRESENTATION) else [])]
    return (
        isinstance(serializer, serializers.Serializer)
        and all(_defining_module(cls, name) in _LIBRARIES for name in names)
        and all(is_plain(field) for field in serializer.fields.values())
    )


def _defining_module(cls: type, name: str) -> str:
    """Return the module of the base class that defines an attribute."""
    return next(base.__module__ for base in cls.__mro__ if name in vars(base))


def is_plain_data(data: Any) -> bool:
    """Return whether data contains only dicts, lists and types of the standard library, which run no project code."""
    cls = type(data)
    if cls is dict:
        return all(map(is_plain_data, data.values()))
    return cls in _SCALARS or (cls is list and all(map(is_plain_data, data)))
