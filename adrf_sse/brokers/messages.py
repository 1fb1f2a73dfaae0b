"""What brokers carry: events that are encoded once, by whoever publishes them."""

import json
from bisect import bisect_right
from collections.abc import Collection
from time import time
from typing import Any, NamedTuple

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.settings import sse_settings

_JSON, _TEXT = b"j", b"t"
_ID = b"id: %d\n"


def message_body(data: Any, event: str | None) -> bytes:
    """Return an event as it is published: how to read its data, and its frame without an id.

    Raises ``TypeError`` or ``ValueError`` for a bad name or data that can't be encoded.
    """
    kind = _TEXT if isinstance(data, str) else _JSON
    frame = ServerSentEvent("null" if data is None else data, event=event).encode()
    return kind + frame


class ChannelEvent(ServerSentEvent):
    """Hold an event of a channel, with the bytes that all its subscribers in this process share.

    What a subscriber reads of it is decoded when it asks: most only pass it on.
    """

    __slots__ = ("_kind", "channel", "frame", "number")

    channel: str
    """The channel it was published in."""
    number: int
    """Its id, as a number."""
    frame: bytes
    """Its frame, complete."""
    _kind: bytes

    def __init__(self, channel: str, number: int, body: bytes) -> None:
        put = object.__setattr__
        put(self, "channel", channel)
        put(self, "number", number)
        put(self, "frame", _ID % number + body[1:])
        put(self, "_kind", body[:1])

    @property
    def id(self) -> str:
        """The id, as the client repeats it."""
        return str(self.number)

    @property
    def event(self) -> str | None:
        """The event's name."""
        names = self._fields(b"event: ")
        return names[0].decode() if names else None

    @property
    def data(self) -> Any:
        """What was published, as JSON gives it back; decoded anew each time, so that no subscriber alters another's."""
        text = b"\n".join(line[1:] for line in self._fields(b"data:")).decode()
        return json.loads(text) if self._kind == _JSON else text

    @property
    def age(self) -> float:
        """Seconds since it was published, by the clocks of the broker, which gave the id, and of this machine."""
        return max(0.0, time() - self.number / 1_000_000)

    @property
    def retry(self) -> None:
        """Nothing: channels carry none."""

    @property
    def comment(self) -> None:
        """Nothing: channels carry none."""

    @property
    def dispatches(self) -> bool:
        """Yes: also a published ``None`` is data."""
        return True

    def encode(self, to_json: Any = None) -> bytes:
        """Return the frame."""
        return self.frame

    def _fields(self, name: bytes) -> list[bytes]:
        return [line[len(name) :] for line in self.frame.split(b"\n") if line.startswith(name)]


class Page(NamedTuple):
    """What a broker keeps of some channels after an id."""

    events: list[ChannelEvent]
    """The oldest of them, in order."""
    position: int
    """The last id that the broker has given, to any channel."""
    complete: bool
    """Whether these are all."""
    missed_until: int
    """The last id up to which events after the one that was asked for may be lost; 0 where none is."""


def page_of(
    parts: Collection[tuple[list[ChannelEvent], bool]], *, position: int, limit: int, missed_until: int
) -> Page:
    """Make a page of parts of channels' histories, each with whether there is more of it.

    It ends where the first of those ends that there is more of: what comes after may not be in the parts.
    """
    ends = [events[-1].number for events, more in parts if more]
    ordered = sorted((event for events, _ in parts for event in events), key=lambda event: event.number)
    if ends:
        ordered = ordered[: bisect_right(ordered, min(ends), key=lambda event: event.number)]
    return Page(ordered[:limit], position, not ends and len(ordered) <= limit, missed_until)


def kept_for() -> int:
    """Return ``CHANNEL_TTL`` in microseconds, which ids are."""
    return int(sse_settings.CHANNEL_TTL * 1_000_000)


def share(limit: int, channels: int) -> int:
    """Return how many events to read of each channel for a page of all."""
    return max(2, limit // channels + 1)
