"""The checks that events, options and settings share. Each returns the value in its one normal form."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import isfinite
from typing import Any

Validate = Callable[[str, Any], Any]
"""Takes the field's name, for the message, and its value."""

_FORBIDDEN = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL character"}


def text(name: str, value: str) -> str:
    """Refuse lone surrogates, which UTF-8 has no bytes for."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(
                f"{name} must be text that UTF-8 can carry, got a lone surrogate at index {exc.start}. "
                "Decode the text properly, or replace it with value.encode('utf-8', 'replace').decode()."
            ) from None
    return value


def single_line(name: str, value: str) -> str:
    """Refuse what would end the field, or make clients ignore it (WHATWG HTML, section 9.2.6)."""
    for character, words in _FORBIDDEN.items():
        if character in value:
            raise ValueError(
                f"{name} must be a single line, got {words} in {value!r}. Remove it, or send the text as data."
            )
    return text(name, value)


def event_name(name: str, value: Any) -> str:
    """Check an event's name: one line of text, not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a non-empty str, got {value!r}. Name the event with a string.")
    if not value:
        raise ValueError(
            f"{name} must be a non-empty str, got ''. Leave it out for a default event, which fires 'message'."
        )
    return single_line(name, value)


def event_id(name: str, value: Any) -> str:
    """Check an event id, and give it as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{name} must be a str or an int, got {value!r}. Convert it with str().")
    return single_line(name, value) if isinstance(value, str) else str(value)


def milliseconds(name: str, value: Any) -> int:
    """Check a delay, and give it as whole milliseconds."""
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
    """Check a pair of delays, the least and the most."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of milliseconds, got {value!r}. Use two ints, such as (1000, 5000).")
    least, most = (milliseconds(name, item) for item in value)
    if least > most:
        raise ValueError(f"{name} must be (least, most), got {value!r}. Swap the two.")
    return least, most


def seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """Check a duration in seconds; 0 is allowed where it has a meaning."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, got {value!r}. Use a number, such as 15.")
    if not isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name} must be {least} seconds, got {value!r}. Use a finite number of seconds.")
    return float(value)


def seconds_or_zero(name: str, value: Any) -> float:
    """Check a duration in seconds that may be 0."""
    return seconds(name, value, zero=True)


def or_none(validate: Validate) -> Validate:
    """Allow ``None`` besides."""
    return lambda name, value: None if value is None else validate(name, value)


def count(name: str, value: Any) -> int:
    """Check a whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}. Use an int.")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {value!r}. Use a positive number.")
    return value


def flag(name: str, value: Any) -> bool:
    """Check a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}. Use a bool.")
    return value


def backend(name: str, value: Any) -> dict[str, Any]:
    """Check the choice of a class and its options, as in Django's ``CACHES``."""
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        raise TypeError(
            f'{name} must be {{"BACKEND": "path.to.Class", "OPTIONS": {{...}}}}, got {value!r}. Name a class.'
        )
    unknown = sorted(map(str, value.keys() - {"BACKEND", "OPTIONS"}))
    if unknown:
        raise ValueError(f"{name} must have only BACKEND and OPTIONS, got {', '.join(unknown)}. Put it into OPTIONS.")
    options = value.get("OPTIONS", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise TypeError(f"{name}['OPTIONS'] must be a dict with str keys, got {options!r}. Write {{}} for none.")
    return {"BACKEND": value["BACKEND"], "OPTIONS": dict(options)}
