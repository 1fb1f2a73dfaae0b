"""JSON Lines: an event as a line of JSON (jsonlines.org; NDJSON is the same)."""

from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from adrf_sse import validators
from adrf_sse.events.event import JSONEncode, ServerSentEvent, fields_of, json_of
from adrf_sse.events.json_encoders import default_json_encoder
from adrf_sse.events.parsers import FrameParser

_SEPARATORS = {character.encode(): b"\\u%04x" % ord(character) for character in "\x85\u2028\u2029"}
"""What ``str.splitlines()``, and so some readers of lines, takes for a line's end besides what JSON escapes anyway."""


class LineEncoder:
    """Encode whatever a source yields as a line: ``{"event": …, "id": …, "data": …}``, or the data alone.

    Names and ids that are not set are left out. What fires nothing in a browser, having neither a name nor data, gives
    no line. Frames that come as ``bytes`` are parsed, in pieces of any size; their data is text.
    """

    __slots__ = ("_envelope", "_parser", "_to_json")

    def __init__(self, to_json: JSONEncode | None = None, *, envelope: bool = True) -> None:
        self._to_json = to_json or default_json_encoder()
        self._envelope = envelope
        self._parser = FrameParser()

    def __call__(self, item: Any) -> bytes:
        """Return the item's line or lines. Raises ``TypeError`` or ``ValueError`` for what can't be one."""
        if isinstance(item, bytes):
            return b"".join(self._line(event.event, event.data, event.id) for event in self._parser.feed(item))
        if isinstance(item, ServerSentEvent) and not item.dispatches:
            return b""
        event, data, id = fields_of(item)
        return self._line(event, data, id)

    def _line(self, event: str | None, data: Any, id: str | None) -> bytes:
        line = json_of(validators.text("data", data) if isinstance(data, str) else data, self._to_json)
        if self._envelope:
            line = b'"data":' + line + b"}"
            if id is not None:
                line = b'"id":' + encode_basestring(id).encode() + b"," + line
            line = (b"{" if event is None else _head(event)) + line
        return _on_one_line(line) + b"\n"


@lru_cache(maxsize=512)
def _head(event: str) -> bytes:
    return b'{"event":' + encode_basestring(event).encode() + b","


def _on_one_line(json: bytes) -> bytes:
    """Return JSON with nothing in it that ends a line: outside strings that is white space, inside it has an escape."""
    if 10 in json or 13 in json:
        json = json.replace(b"\r", b" ").replace(b"\n", b" ")
    if not json.isascii():
        for separator, escape in _SEPARATORS.items():
            json = json.replace(separator, escape)
    return json
