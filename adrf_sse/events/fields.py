"""Fields: the parts of a frame, encoded (WHATWG HTML, section 9.2.6)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from adrf_sse import validators

JSONEncode = Callable[[Any], bytes]
"""Encodes a value as JSON."""

JSON_ERRORS = (TypeError, ValueError, RecursionError)
"""Exceptions that a ``JSONEncode`` raises for a value that it can't encode."""


_LINE_BREAKS = {character.encode(): b"\\u%04x" % ord(character) for character in "\x85\u2028\u2029"}
"""Characters that JSON may contain unescaped but at which ``str.splitlines()`` breaks a line, and their escapes."""


class NotData(TypeError):
    """A value is never data. The message is complete: it says what to do."""


def text_field(name: bytes, value: str) -> bytes:
    """Return a field with one line for each line of the value. Only CRLF, CR and LF end a line."""
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return _field(name, value.encode())


@lru_cache(maxsize=512)
def event_field(name: str) -> bytes:
    """Return the ``event`` field for an event name."""
    return b"event: " + name.encode() + b"\n"


def data_field(data: Any, to_json: JSONEncode) -> bytes:
    """Return the ``data`` field for text or for any value that ``to_json`` can encode.

    Raises ``TypeError`` or ``ValueError`` if the data can't be encoded.
    """
    if isinstance(data, str):
        return text_field(b"data", validators.text("data", data))
    try:
        payload = to_json(data)
    except JSON_ERRORS as exc:
        raise json_error(data, exc) from exc
    if not payload.isascii():
        payload = without_line_breaks(payload)
    if 10 in payload or 13 in payload:  # Searching for LF and CR as integers is the fastest way.
        return _field(b"data", payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return b"data: " + payload + b"\n"


def without_line_breaks(json: bytes) -> bytes:
    """Return the same JSON with escapes for U+0085, U+2028 and U+2029, at which some readers break a line."""
    for line_break, escape in _LINE_BREAKS.items():
        json = json.replace(line_break, escape)
    return json


def json_error(data: Any, exc: Exception) -> TypeError | ValueError:
    """Return the exception to raise if the JSON encoder raised ``exc`` for an event's data."""
    if isinstance(exc, NotData):
        return TypeError(str(exc))
    expected = f"data must be text or something the JSON renderer can encode, got {validators.shown_briefly(data)}"
    if isinstance(exc, RecursionError):
        return ValueError(f"{expected}, which contains itself or is nested too deeply. Remove what it repeats.")
    error = TypeError if isinstance(exc, TypeError) else ValueError
    return error(f"{expected}: {exc}. Serialize it first, or yield a str.")


def _field(name: bytes, value: bytes) -> bytes:
    return b"".join(name + b": " + line + b"\n" if line else name + b":\n" for line in value.split(b"\n"))
