"""Server-sent events: the value, its checks and its bytes (WHATWG HTML, section 9.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from reprlib import repr as short_repr
from typing import Any

from adrf_sse import validators

JSONEncode = Callable[[Any], bytes]

_DATA = (dict, list, str)
"""The usual data, looked for first."""

END_ID = "adrf-sse:end"
"""The last event id that says a finite stream was read to its end."""

RESET_EVENT = "reset"
"""Name of the event that tells a client that what it missed is no longer kept."""


@dataclass(frozen=True, slots=True, init=False)
class ServerSentEvent:
    """Hold one event, checked when it is made.

    Raises ``TypeError`` or ``ValueError`` that names the field, what came and what to do. What the JSON renderer
    can't encode is found by ``encode()``.
    """

    data: Any
    """A ``str`` is sent as text, anything else as JSON; ``None`` is no data."""
    event: str | None
    """The event's name; ``None`` is the default, which browsers dispatch as ``message``."""
    id: str | None
    """What the client repeats as ``Last-Event-ID``; ``""`` makes it forget the last one."""
    retry: int | None
    """Reconnection delay in milliseconds."""
    comment: str | None
    """Lines that clients ignore."""

    def __init__(
        self,
        data: Any = None,
        *,
        event: str | None = None,
        id: str | int | None = None,
        retry: int | timedelta | None = None,
        comment: str | None = None,
    ) -> None:
        if data is None and event is None and id is None and retry is None and comment is None:
            raise ValueError(
                "ServerSentEvent must have at least one of data, event, id, retry and comment, got none. "
                "Pass the one to send; for a JSON null, yield None or pass data='null'."
            )
        self._set(
            validators.text("data", data) if isinstance(data, str) else data,
            None if event is None else validators.event_name("event", event),
            None if id is None else validators.event_id("id", id),
            None if retry is None else validators.milliseconds("retry", retry),
            None if comment is None else _comment(comment),
        )

    def _set(self, data: Any, event: str | None, id: str | None, retry: int | None, comment: str | None) -> None:
        put = object.__setattr__
        put(self, "data", data)
        put(self, "event", event)
        put(self, "id", id)
        put(self, "retry", retry)
        put(self, "comment", comment)

    @classmethod
    def received(cls, data: str, *, event: str | None, id: str | None) -> "ServerSentEvent":
        """Make the event that a client understood, also where its sender broke the rules for making one."""
        self = cls.__new__(cls)
        self._set(data, event, id, None, None)
        return self

    @property
    def dispatches(self) -> bool:
        """Whether it fires in a browser: it has a name or data."""
        return self.event is not None or self.data is not None

    def with_data(self, data: Any) -> "ServerSentEvent":
        """Return the same event with other data."""
        return ServerSentEvent(data, event=self.event, id=self.id, retry=self.retry, comment=self.comment)

    def encode(self, to_json: JSONEncode | None = None) -> bytes:
        """Return the frame: UTF-8, in the order comment, retry, id, event, data, and one empty line.

        ``to_json`` is a stream's own JSON encoder; without it REST framework's ``JSONRenderer`` is used.
        Raises ``TypeError`` or ``ValueError`` where ``data`` can't be JSON.
        """
        frame = b""
        if self.comment is not None:
            frame += _field(b":", self.comment)
        if self.retry is not None:
            frame += b"retry: %d\n" % self.retry
        if self.id is not None:
            frame += _field(b"id:", self.id)
        if self.event is not None:
            frame += _event_field(self.event)
        if self.data is not None:
            frame += data_field(self.data, to_json or _default_json())
        elif self.event is not None:
            frame += b"data:\n"
        return frame + b"\n"


def _comment(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"comment must be a str, got {value!r}. Convert it with str().")
    return validators.text("comment", value)


def _default_json() -> JSONEncode:
    # Imported late: REST framework's renderers read Django's settings when they are imported.
    from adrf_sse.events.json_encoders import default_json_encoder

    return default_json_encoder()


def _field(name: bytes, value: str) -> bytes:
    """Return one line for each line of the value, which ends at CRLF, CR or LF and nowhere else."""
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return _lines(name, value.encode())


def _lines(name: bytes, value: bytes) -> bytes:
    return b"".join(name + b" " + line + b"\n" if line else name + b"\n" for line in value.split(b"\n"))


@lru_cache(maxsize=512)
def _event_field(name: str) -> bytes:
    return b"event: " + name.encode() + b"\n"


@lru_cache(maxsize=512)
def _checked_name(name: str) -> str:
    return validators.event_name("event", name)


def data_field(data: Any, to_json: JSONEncode) -> bytes:
    """Return the ``data:`` lines of text or of a JSON value."""
    if isinstance(data, str):
        return _field(b"data:", validators.text("data", data))
    payload = json_of(data, to_json)
    if 10 in payload or 13 in payload:  # LF, CR; as numbers, this is the fastest way to look
        return _lines(b"data:", payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return b"data: " + payload + b"\n"


def json_of(data: Any, to_json: JSONEncode) -> bytes:
    """Return data as JSON. Raises ``TypeError`` or ``ValueError`` that says what the data is and what to do."""
    try:
        return to_json(data)
    except (TypeError, ValueError, RecursionError) as exc:
        expected = f"data must be text or something the JSON renderer can encode, got {short_repr(data)}"
        error = TypeError if isinstance(exc, TypeError) else ValueError
        raise error(f"{expected}: {exc}. Serialize it first, or yield a str.") from exc


Encode = Callable[[Any], bytes]
"""Gives the bytes of what a source yields; none for what the format has no form for."""

Fields = tuple[str | None, Any, str | None]
"""An event's name, data and id; ``None`` for a name or an id that is not set."""


def fields_of(item: Any) -> Fields:
    """Return the name, data and id of what a source yields, in whatever shape but ``bytes``.

    The table of section 1 of the contract, in ``docs/events.md``. Raises ``TypeError`` or ``ValueError`` for what
    can't be an event.
    """
    if isinstance(item, tuple):
        return _named(item)
    if isinstance(item, ServerSentEvent):
        return item.event, item.data, item.id
    return None, item, None


def _named(item: tuple[Any, ...]) -> Fields:
    if not 2 <= len(item) <= 3 or not isinstance(item[0], str):
        raise TypeError(
            "a tuple must be (event, data) or (event, data, id) with a str as event, "
            f"got {short_repr(item)}. Yield a list for a JSON array."
        )
    id = item[2] if len(item) == 3 else None
    return _checked_name(item[0]), item[1], None if id is None else validators.event_id("id", id)


class FrameEncoder:
    """Encode whatever a source yields as a frame."""

    __slots__ = ("_to_json",)

    def __init__(self, to_json: JSONEncode | None = None) -> None:
        self._to_json = to_json or _default_json()

    def __call__(self, item: Any) -> bytes:
        """Return the item's frame. Raises ``TypeError`` or ``ValueError`` for what can't be one."""
        if isinstance(item, _DATA):
            return data_field(item, self._to_json) + b"\n"
        if isinstance(item, bytes):
            return item
        if isinstance(item, ServerSentEvent):
            return item.encode(self._to_json)
        event, data, id = fields_of(item)
        frame = data_field(data, self._to_json) + b"\n"
        if event is not None:
            frame = _event_field(event) + frame
        return frame if id is None else _field(b"id:", id) + frame
