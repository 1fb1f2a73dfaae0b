"""JSON Lines: one event per line, as JSON (jsonlines.org; NDJSON is the same format)."""

from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from adrf_sse import validators
from adrf_sse.events.event import default_json
from adrf_sse.events.fields import JSON_ERRORS, JSONEncode, json_error, without_line_breaks
from adrf_sse.events.frames import fields_of


class LineEncoder:
    """Encode any item that a source yields as a line: ``{"event": …, "id": …, "data": …}``.

    A line has no ``event`` or ``id`` if the event has none. Without ``envelope``, a line is the data alone. An event
    with neither a name nor data has no line, because browsers do not dispatch it. ``bytes`` are parsed as frames, and
    their data is text.
    """

    __slots__ = ("_envelope", "_to_json")

    def __init__(self, to_json: JSONEncode | None = None, *, envelope: bool = True) -> None:
        self._to_json = to_json or default_json()
        self._envelope = envelope

    def __call__(self, item: Any) -> bytes:
        """Return the item's line or lines. Raises ``TypeError`` or ``ValueError`` if the item is not a valid event."""
        lines = [self._line(*fields) for fields in fields_of(item)]
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def _line(self, event: str | None, data: Any, id: str | None) -> bytes:
        line = self._json(data)
        if self._envelope:
            line = b'"data":' + line + b"}"
            if id is not None:
                line = b'"id":' + encode_basestring(id).encode() + b"," + line
            line = (b"{" if event is None else _head(event)) + line
        return _on_one_line(line) + b"\n"

    def _json(self, data: Any) -> bytes:
        if isinstance(data, str):
            validators.text("data", data)
        try:
            return self._to_json(data)
        except JSON_ERRORS as exc:
            raise json_error(data, exc) from exc


@lru_cache(maxsize=512)
def _head(event: str) -> bytes:
    return b'{"event":' + encode_basestring(event).encode() + b","


def _on_one_line(json: bytes) -> bytes:
    """Return the same JSON without line breaks. Between tokens, they become spaces; inside strings, escapes."""
    if 10 in json or 13 in json:
        json = json.replace(b"\r", b" ").replace(b"\n", b" ")
    return json if json.isascii() else without_line_breaks(json)
