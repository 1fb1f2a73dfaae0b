"""The server-sent event (WHATWG HTML, section 9.2)."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from adrf_sse import validators
from adrf_sse.events.fields import JSONEncode, data_field, event_field, text_field

END_ID: str = "adrf-sse-end"
"""The ID of a finite stream's last frame. A client that reconnects with it has read the whole stream."""

MAX_ID_SIZE = 1024
"""Bytes of a last event ID at most. A longer one is unknown, and neither kept nor sent back."""

END_EVENT = "end"
"""The name of the last event of a finite stream that has no ``end_event``."""

ERROR_EVENT = "error"
"""The default name of the event that reports an error."""

READY_EVENT = "ready"
"""The name of the first event of a stream of channels."""

RESET_EVENT = "reset"
"""The name of the event that tells a client that events it missed are no longer in the history."""

OWN_EVENTS = frozenset({END_EVENT, ERROR_EVENT, READY_EVENT, RESET_EVENT})
"""The names of the package's own events. Their data is JSON."""


def is_too_long(last_event_id: str) -> bool:
    """Return whether a last event ID has more than ``MAX_ID_SIZE`` bytes."""
    return len(last_event_id.encode("utf-8", "surrogatepass")) > MAX_ID_SIZE


@dataclass(frozen=True, slots=True, init=False)
class ServerSentEvent:
    """Represent one immutable event.

    Raises ``TypeError`` or ``ValueError`` if the value of a field is not valid. Only ``encode()`` checks whether the
    data can be encoded as JSON.
    """

    data: Any
    """A ``str`` is sent as text, any other value as JSON. ``None`` means that the event has no data."""
    event: str | None
    """The event's name. Browsers dispatch an event without a name as ``message``."""
    id: str | None
    """The ID that clients send as ``Last-Event-ID`` when they reconnect. ``""`` clears it in the client."""
    retry: int | None
    """The client's reconnection delay in milliseconds."""
    comment: str | None
    """Text of one or several lines, which clients ignore."""

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
                "Pass one of them; to send a JSON null, yield None or pass data='null'."
            )
        self._set(
            validators.text("data", data) if isinstance(data, str) else data,
            None if event is None else validators.event_name("event", event),
            None if id is None else validators.event_id("id", id),
            None if retry is None else validators.milliseconds("retry", retry),
            None if comment is None else _comment(comment),
        )

    def _set(self, data: Any, event: str | None, id: str | None, retry: int | None, comment: str | None) -> None:
        set_field = object.__setattr__  # The dataclass is frozen.
        set_field(self, "data", data)
        set_field(self, "event", event)
        set_field(self, "id", id)
        set_field(self, "retry", retry)
        set_field(self, "comment", comment)

    @classmethod
    def received(cls, data: str, *, event: str | None, id: str | None) -> "ServerSentEvent":
        """Return an event as a client parsed it, without validation, because a server may send any value."""
        self = cls.__new__(cls)
        self._set(data, event, id, None, None)
        return self

    @property
    def dispatches(self) -> bool:
        """Whether browsers dispatch the event, which they do if it has a name or data."""
        return self.event is not None or self.data is not None

    def with_id(self, id: str) -> "ServerSentEvent":
        """Return a copy of the event with another ID."""
        return ServerSentEvent(self.data, event=self.event, id=id, retry=self.retry, comment=self.comment)

    def with_data(self, data: Any) -> "ServerSentEvent":
        """Return a copy of the event with other data."""
        return ServerSentEvent(data, event=self.event, id=self.id, retry=self.retry, comment=self.comment)

    def encode(self, to_json: JSONEncode | None = None) -> bytes:
        """Return the frame in UTF-8: comment, retry, id, event and data, in this order, then an empty line.

        Without a name and data, there is no empty line: the lines belong to the next event. Many clients take an empty
        line without data before it for an event.
        ``to_json`` encodes data that is not text. The default encodes it like REST framework's ``JSONRenderer``.
        Raises ``TypeError`` or ``ValueError`` if the data can't be encoded.
        """
        frame = b""
        if self.comment is not None:
            frame += text_field(b"", self.comment)
        if self.retry is not None:
            frame += b"retry: %d\n" % self.retry
        if self.id is not None:
            frame += text_field(b"id", self.id)
        if self.event is not None:
            frame += event_field(self.event)
        if self.data is not None:
            frame += data_field(self.data, to_json or default_json())
        elif self.event is not None:
            frame += b"data:\n"
        return frame + b"\n" if self.dispatches else frame


@cache
def default_json() -> JSONEncode:
    """Return an encoder that writes JSON like REST framework's ``JSONRenderer``."""
    # REST framework's renderers read Django's settings when they are imported.
    from adrf_sse.events.json_encoders import default_json_encoder

    return default_json_encoder()


def _comment(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"comment must be a str, got {validators.shown(value)}. Convert it with str().")
    return validators.text("comment", value)
