"""Validators for the values of events, options and settings.

Each validator returns the value in its canonical form. Each raises ``TypeError`` or ``ValueError`` if the value is not
valid, and the message names the field.
"""

import reprlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import inf, isfinite
from typing import Any

Validate = Callable[[str, Any], Any]
"""A validator. Its arguments are the name of the field, for the message, and the value."""

MAX_INT = 2**63 - 1
"""The largest whole number: servers, brokers and clients store no larger one."""

_FORBIDDEN = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL character"}


def shown(value: Any, to_text: Callable[[Any], str] = repr) -> str:
    """Return the ``repr()`` of a value for a message, or its type if it contains an int that Python does not print."""
    try:
        return to_text(value)
    except ValueError:  # an int of more than 4,300 digits
        size = f" of {value.bit_length():,} bits" if isinstance(value, int) else ""
        return f"a value of the type {type(value).__name__}{size}"


def shown_briefly(value: Any) -> str:
    """Return the beginning of the ``repr()`` of a value that may be large, for a message."""
    return shown(value, reprlib.repr)


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


def string(name: str, value: Any) -> str:
    """Validate a str, which may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {shown(value)}. Use text.")
    return text(name, value)


def single_line(name: str, value: str) -> str:
    """Validate text without line breaks and NUL.

    A line break ends the field, and clients ignore an ID that contains NUL (WHATWG HTML, section 9.2.6).
    """
    for character, words in _FORBIDDEN.items():
        if character in value:
            raise ValueError(
                f"{name} must be a single line, got {words} in {shown(value)}. Remove it, or send the text as data."
            )
    return text(name, value)


def event_name(name: str, value: Any) -> str:
    """Validate the name of an event: one line of text, not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a non-empty str, got {shown(value)}. Name the event with a string.")
    if not value:
        raise ValueError(f"{name} must be a non-empty str, got ''. Pass a name, or omit it to use the default.")
    return single_line(name, value)


def event_id(name: str, value: Any) -> str:
    """Validate the ID of an event, and return it as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{name} must be a str or an int, got {shown(value)}. Convert it with str().")
    if isinstance(value, str):
        return single_line(name, value)
    try:
        return str(value)
    except ValueError:
        raise ValueError(f"{name} must be an int that str() can print, got {shown(value)}. Use a str.") from None


def milliseconds(name: str, value: Any) -> int:
    """Validate a delay, and return it in milliseconds."""
    if isinstance(value, timedelta):
        value = value // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be a whole number of milliseconds or a timedelta, got {shown(value)}. "
            "Use an int, such as 3000."
        )
    if value < 0:
        raise ValueError(f"{name} must be 0 ms or more, got {shown(value)}. Use a delay that is not negative.")
    return _not_too_large(name, value)


def _not_too_large(name: str, value: int) -> int:
    if value > MAX_INT:
        raise ValueError(f"{name} must be less than 2**63, got {shown(value)}. Use a smaller number.")
    return value


def millisecond_range(name: str, value: Any) -> tuple[int, int]:
    """Validate a pair of delays in milliseconds: the shortest and the longest."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(
            f"{name} must be a pair of milliseconds, got {shown(value)}. Use two ints, such as (1000, 5000)."
        )
    shortest, longest = (milliseconds(name, item) for item in value)
    if shortest > longest:
        raise ValueError(f"{name} must be (shortest, longest), got {shown(value)}. Swap the two values.")
    return shortest, longest


def seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """Validate a duration, and return it in seconds. ``zero`` allows 0."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{name} must be a number of seconds or a timedelta, got {shown(value)}. Use a number, such as 15."
        )
    try:
        number = float(value)
    except OverflowError:
        number = inf
    if not isfinite(number) or number < 0 or (number == 0 and not zero):
        minimum = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name} must be {minimum} seconds, got {shown(value)}. Use a finite number of seconds.")
    return number


def seconds_or_zero(name: str, value: Any) -> float:
    """Validate a duration that may be 0, and return it in seconds."""
    return seconds(name, value, zero=True)


def or_none(validate: Validate) -> Validate:
    """Return a validator that also allows ``None``."""
    return lambda name, value: None if value is None else validate(name, value)


def count(name: str, value: Any) -> int:
    """Validate a whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {shown(value)}. Use an int.")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {shown(value)}. Use a positive number.")
    return _not_too_large(name, value)


def flag(name: str, value: Any) -> bool:
    """Validate a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}. Use a bool.")
    return value


def backend(name: str, value: Any) -> dict[str, Any]:
    """Validate the import path of a class and the options for it, as in Django's ``CACHES``."""
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        raise TypeError(
            f'{name} must be {{"BACKEND": "path.to.Class", "OPTIONS": {{...}}}}, got {_without_secrets(value)}. '
            "Set BACKEND to a class."
        )
    unknown = sorted(map(str, value.keys() - {"BACKEND", "OPTIONS"}))
    if unknown:
        raise ValueError(f"{name} must have only BACKEND and OPTIONS, got {', '.join(unknown)}. Move it to OPTIONS.")
    options = value.get("OPTIONS", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise TypeError(
            f"{name}['OPTIONS'] must be a dict with str keys, got {_without_secrets(options)}. Use {{}} for no options."
        )
    return {"BACKEND": value["BACKEND"], "OPTIONS": dict(options)}


def _without_secrets(value: Any) -> str:
    """Return the keys of a dict, or the type of another value, because a value may contain a password."""
    if not isinstance(value, Mapping):
        return f"a value of the type {type(value).__name__}"
    return f"a dict with the keys {', '.join(map(str, value))}" if value else "an empty dict"
