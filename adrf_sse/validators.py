"""Validators for the values of events, options and settings.

Each validator returns the value in its canonical form. Each raises ``TypeError`` or ``ValueError`` if the value is not
valid, and the message names the field.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import isfinite
from typing import Any

Validate = Callable[[str, Any], Any]
"""A validator. Its arguments are the name of the field, for the message, and the value."""

_FORBIDDEN = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL character"}


def text(name: str, value: str) -> str:
    """Validate that text contains no lone surrogates, which UTF-8 can't encode."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(
                f"{name} must be text that UTF-8 can encode, got a lone surrogate at index {exc.start}. "
                "Decode the text correctly, or replace it with value.encode('utf-8', 'replace').decode()."
            ) from None
    return value


def single_line(name: str, value: str) -> str:
    """Validate text without line breaks and NUL.

    A line break ends the field, and clients ignore an ID that contains NUL (WHATWG HTML, section 9.2.6).
    """
    for character, words in _FORBIDDEN.items():
        if character in value:
            raise ValueError(
                f"{name} must be a single line, got {words} in {value!r}. Remove it, or send the text as data."
            )
    return text(name, value)


def event_name(name: str, value: Any) -> str:
    """Validate the name of an event: one line of text, not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a non-empty str, got {value!r}. Name the event with a string.")
    if not value:
        raise ValueError(f"{name} must be a non-empty str, got ''. Pass a name, or omit it to use the default.")
    return single_line(name, value)


def event_id(name: str, value: Any) -> str:
    """Validate the ID of an event, and return it as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{name} must be a str or an int, got {value!r}. Convert it with str().")
    return single_line(name, value) if isinstance(value, str) else str(value)


def milliseconds(name: str, value: Any) -> int:
    """Validate a delay, and return it in milliseconds."""
    if isinstance(value, timedelta):
        value = value // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be a whole number of milliseconds or a timedelta, got {value!r}. Use an int, such as 3000."
        )
    if value < 0:
        raise ValueError(f"{name} must be 0 ms or more, got {value!r}. Use a delay that is not negative.")
    return value


def millisecond_range(name: str, value: Any) -> tuple[int, int]:
    """Validate a pair of delays in milliseconds: the shortest and the longest."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of milliseconds, got {value!r}. Use two ints, such as (1000, 5000).")
    shortest, longest = (milliseconds(name, item) for item in value)
    if shortest > longest:
        raise ValueError(f"{name} must be (shortest, longest), got {value!r}. Swap the two values.")
    return shortest, longest


def seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """Validate a duration, and return it in seconds. ``zero`` allows 0."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, got {value!r}. Use a number, such as 15.")
    if not isfinite(value) or value < 0 or (value == 0 and not zero):
        minimum = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name} must be {minimum} seconds, got {value!r}. Use a finite number of seconds.")
    return float(value)


def seconds_or_zero(name: str, value: Any) -> float:
    """Validate a duration that may be 0, and return it in seconds."""
    return seconds(name, value, zero=True)


def or_none(validate: Validate) -> Validate:
    """Return a validator that also allows ``None``."""
    return lambda name, value: None if value is None else validate(name, value)


def count(name: str, value: Any) -> int:
    """Validate a whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}. Use an int.")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {value!r}. Use a positive number.")
    return value


def flag(name: str, value: Any) -> bool:
    """Validate a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}. Use a bool.")
    return value


def backend(name: str, value: Any) -> dict[str, Any]:
    """Validate the import path of a class and the options for it, as in Django's ``CACHES``."""
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        raise TypeError(
            f'{name} must be {{"BACKEND": "path.to.Class", "OPTIONS": {{...}}}}, got {value!r}. Set BACKEND to a class.'
        )
    unknown = sorted(map(str, value.keys() - {"BACKEND", "OPTIONS"}))
    if unknown:
        raise ValueError(f"{name} must have only BACKEND and OPTIONS, got {', '.join(unknown)}. Move it to OPTIONS.")
    options = value.get("OPTIONS", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise TypeError(f"{name}['OPTIONS'] must be a dict with str keys, got {options!r}. Use {{}} for no options.")
    return {"BACKEND": value["BACKEND"], "OPTIONS": dict(options)}
