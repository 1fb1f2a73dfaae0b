"""Frames: events, encoded for an event stream (WHATWG HTML, section 9.2)."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from adrf_sse import validators
from adrf_sse.events.event import ServerSentEvent, default_json
from adrf_sse.events.fields import JSONEncode, data_field, event_field, text_field
from adrf_sse.events.parsers import FrameParser

Encode = Callable[[Any], bytes]
"""Encodes an item that a source yields. Returns ``b""`` if the format can't represent the item."""

Fields = tuple[str | None, Any, str | None]
"""An event's name, data and ID. The name or the ID is ``None`` if the event has none."""

_COMMON_DATA = (dict, list, str)
"""The most frequent types of data, which the encoder tests first."""

_COMMON_FIELDS = (b"data:", b"event:", b"id:", b":")
_EMPTY_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
"""How most frames begin, and how frames end, which the encoder tests first."""

_FIELD = re.compile(rb"(?:data|event|id|retry|)(?::|[\r\n])")
"""How frames begin: with a field, a comment, or an empty line."""

_FRAME_AS_TEXT = re.compile(r"(?:data|event|id|retry|):.*(?:\n\n|\r\n\r\n)", re.DOTALL)
"""Text that is a whole frame."""

_LINES_ALONE = re.compile(
    rb"(?:\A|\n\n|\r\n\r\n|\r\r)(?:(?::[^\r\n]*|retry: ?[0-9]+|id(?::[^\r\n]*)?)(?:\r\n|\n|\r))+\Z", re.DOTALL
)
"""Comments, reconnection delays and IDs at the end, which need no empty line after them."""

_LAST_LINE = re.compile(rb"(\r\n|\n|\r)\1\Z")
"""The end of a frame: a line break, and the empty line's."""


class FrameEncoder:
    """Encode any item that a source yields as a frame.

    ``docs/events.md`` lists the items and their frames.
    """

    __slots__ = ("_to_json",)

    def __init__(self, to_json: JSONEncode | None = None) -> None:
        self._to_json = to_json or default_json()

    def __call__(self, item: Any) -> bytes:
        """Return the item's frame. Raises ``TypeError`` or ``ValueError`` if the item is not a valid event."""
        if isinstance(item, _COMMON_DATA):
            return data_field(item, self._to_json) + b"\n"
        if isinstance(item, tuple):
            event, data, id = tuple_fields(item)
            frame = event_field(event) + data_field(data, self._to_json) + b"\n"
            return frame if id is None else text_field(b"id", id) + frame
        if isinstance(item, bytes):
            return complete_frames(item)
        if isinstance(item, ServerSentEvent):
            return item.encode(self._to_json)
        return data_field(item, self._to_json) + b"\n"


def complete_frames(item: bytes) -> bytes:
    """Return the bytes. Raises ``ValueError`` if they are not complete frames."""
    ends = item.endswith(_EMPTY_LINES)
    if (ends and item.startswith(_COMMON_FIELDS)) or not item:
        return item
    if _FIELD.match(item) and (ends or _LINES_ALONE.search(item)):
        return item
    raise ValueError(
        "bytes must be complete frames, which begin with a field such as data: and end in an empty line, "
        f"got {validators.shown_briefly(item)}. Yield a str for text, a dict or a list for JSON, or the whole frame."
    )


def with_id(item: Any, id: str) -> Any:
    """Return an item that a source may yield, with another ID. If bytes are several frames, the last one gets it."""
    if isinstance(item, bytes):
        return _LAST_LINE.sub(rb"\1id: " + id.encode() + rb"\1\1", item)
    if isinstance(item, tuple):
        return (*item[:2], id)
    return item.with_id(id) if isinstance(item, ServerSentEvent) else ServerSentEvent(item, id=id)


def checked_event(name: str, item: Any) -> Any:
    """Return an item that a source may yield. Raises ``TypeError`` or ``ValueError`` if it is not an event with data.

    Whether its data can be encoded is not checked.
    """
    try:
        events = fields_of(item)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"{name} must be an event: {exc}") from None
    if not events:
        raise ValueError(
            f"{name} must be an event that has data, got {validators.shown_briefly(item)}. Give it data, or a name."
        )
    return item


def fields_of(item: Any) -> list[Fields]:
    """Return the fields of each event that clients dispatch for an item that a source may yield.

    The data of bytes is text. Raises ``TypeError`` or ``ValueError`` if the item is not valid. Whether its data can be
    encoded is not checked.
    """
    if isinstance(item, tuple):
        return [tuple_fields(item)]
    if isinstance(item, bytes):
        return [(event.event, event.data, event.id) for event in FrameParser().feed(complete_frames(item))]
    if isinstance(item, ServerSentEvent):
        return [(item.event, item.data, item.id)] if item.dispatches else []
    return [(None, item, None)]


def is_frame(text: str) -> bool:
    """Return whether text is a whole frame."""
    return _FRAME_AS_TEXT.fullmatch(text) is not None


def tuple_fields(item: tuple[Any, ...]) -> tuple[str, Any, str | None]:
    """Return the fields of ``(event, data)`` or ``(event, data, id)``.

    Raises ``TypeError`` or ``ValueError`` if the tuple has another shape, or if the name or the ID is not valid.
    """
    if not 2 <= len(item) <= 3 or not isinstance(item[0], str):
        raise TypeError(
            "a tuple must be (event, data) or (event, data, id) with a str as event, "
            f"got {validators.shown_briefly(item)}. Yield a list for a JSON array."
        )
    id = item[2] if len(item) == 3 else None
    return cached_event_name(item[0]), item[1], None if id is None else validators.event_id("id", id)


@lru_cache(maxsize=512)
def cached_event_name(name: str) -> str:
    """Return a valid event name. Raises ``ValueError`` if it is not valid."""
    return validators.event_name("event", name)
