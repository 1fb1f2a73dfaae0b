"""What brokers carry: events that their publisher has encoded."""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from time import time
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from adrf_sse.events.event import ServerSentEvent, default_json
from adrf_sse.events.fields import JSONEncode, data_field, event_field
from adrf_sse.events.frames import cached_event_name
from adrf_sse.settings import sse_settings
from adrf_sse.validators import event_name, text

PAGE_SIZE = 256 * 1024
"""Bytes of a page of history at most, unless its first event is larger."""

_JSON, _TEXT, _LAST = b"j", b"t", b"!"
_ID = b"id: %d\n"


def message_body(
    data: Any, event: str | None, to_json: JSONEncode | None = None, skip_user: str | None = None
) -> bytes:
    """Return an event as it is published: one byte that says how to read its data, and its frame without an ID.

    If the event skips a user's streams, the byte is upper case, and a line with the user precedes the frame. Before the
    byte of a channel's last event, there is one more; see ``last_body()``.
    ``to_json`` encodes data that is not text. The default encodes it like REST framework's ``JSONRenderer``. Raises
    ``TypeError`` or ``ValueError`` for a bad name, or for data that can't be encoded.
    """
    kind = _TEXT if isinstance(data, str) else _JSON
    if event is None:
        field = b""
    else:
        field = event_field(cached_event_name(event) if isinstance(event, str) else event_name("event", event))
    if skip_user is not None:
        kind = kind.upper() + quote(text("skip_user", skip_user)).encode() + b"\n"
    return kind + field + data_field("null" if data is None else data, to_json or default_json()) + b"\n"


def last_body(body: bytes) -> bytes:
    """Return the body of an event that is the last one of its channel."""
    return _LAST + body


class ChannelEvent(ServerSentEvent):
    """An event of a channel, with the bytes that all its subscribers in this process share.

    Its fields are decoded when they are read: most subscribers only pass the bytes on.
    """

    __slots__ = ("_kind", "channel", "frame", "is_last", "number", "skipped_user")

    channel: str
    """The channel it was published to."""
    number: int
    """Its ID, as a number."""
    frame: bytes
    """Its complete frame."""
    skipped_user: str | None
    """The user whose streams do not receive it."""
    is_last: bool
    """Whether it ends its channel, as the last event of a run does."""
    _kind: bytes

    def __init__(self, channel: str, number: int, body: bytes) -> None:
        put = object.__setattr__
        put(self, "channel", channel)
        put(self, "number", number)
        kind, frame, user = body[:1], body[1:], None
        put(self, "is_last", kind == _LAST)
        if kind == _LAST:
            kind, frame = body[1:2], body[2:]
        elif kind not in (_JSON, _TEXT):
            skipped, _, frame = frame.partition(b"\n")
            kind, user = kind.lower(), unquote(skipped.decode())
        put(self, "frame", _ID % number + frame)
        put(self, "skipped_user", user)
        put(self, "_kind", kind)

    @property
    def id(self) -> str:
        """The ID, as the client repeats it."""
        return str(self.number)

    @property
    def event(self) -> str | None:
        """The event's name."""
        names = self._fields(b"event: ")
        return names[0].decode() if names else None

    @property
    def data(self) -> Any:
        """What was published, parsed from JSON each time, so that no subscriber can change another's data."""
        text = b"\n".join(line[1:] for line in self._fields(b"data:")).decode()
        return json.loads(text) if self._kind == _JSON else text

    @property
    def age(self) -> float:
        """Seconds since it was published, by the broker's clock, which gave the ID, and this machine's clock."""
        return max(0.0, time() - self.number / 1_000_000)

    @property
    def retry(self) -> None:
        """``None``: channels carry no reconnection delay."""

    @property
    def comment(self) -> None:
        """``None``: channels carry no comments."""

    @property
    def dispatches(self) -> bool:
        """``True``: even a published ``None`` is data."""
        return True

    def encode(self, to_json: Any = None) -> bytes:
        """Return the frame."""
        return self.frame

    def _fields(self, name: bytes) -> list[bytes]:
        return [line[len(name) :] for line in self.frame.split(b"\n") if line.startswith(name)]


class Page(NamedTuple):
    """The events after an ID that a broker keeps of some channels."""

    events: list[ChannelEvent]
    """The oldest of them, in order."""
    position: int
    """The last ID that the broker has assigned, to any channel."""
    complete: bool
    """Whether these are all of them."""
    missed: Mapping[str, int] = MappingProxyType({})
    """The channels of which events may be missing, each with the ID up to which they may be missing."""


class Trimmed(NamedTuple):
    """What a broker has deleted because it no longer has to keep it."""

    events: int
    """Events of channels that were too old or too many."""
    runs: int
    """Runs that had expired, and their events."""


def first_of(events: Iterable[ChannelEvent], limit: int) -> list[ChannelEvent]:
    """Return the first events, at most ``limit``, and at most ``PAGE_SIZE`` bytes unless the first one is larger."""
    first: list[ChannelEvent] = []
    size = 0
    for event in events:
        size += len(event.frame)
        if len(first) == limit or (first and size > PAGE_SIZE):
            break
        first.append(event)
    return first


def page_of(
    parts: Collection[tuple[list[ChannelEvent], bool]], *, position: int, limit: int, missed: Mapping[str, int]
) -> Page:
    """Return a page made of parts of channels' histories, each with whether the channel has more events.

    The page stops at the earliest channel that has more events, because later events of that channel are not loaded
    yet.
    """
    ends = [events[-1].number for events, more in parts if more]
    ordered = sorted((event for events, _ in parts for event in events), key=lambda event: event.number)
    if ends:
        ordered = ordered[: bisect_right(ordered, min(ends), key=lambda event: event.number)]
    first = first_of(ordered, limit)
    return Page(first, position, not ends and len(first) == len(ordered), missed)


def microseconds_kept() -> int:
    """Return ``CHANNEL_TTL`` in microseconds, the unit of IDs."""
    return int(sse_settings.CHANNEL_TTL * 1_000_000)
