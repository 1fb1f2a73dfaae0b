"""Wire formats: the forms that a stream's events take on their way to a client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from adrf_sse.events.event import Encode, FrameEncoder, JSONEncode
from adrf_sse.events.json_lines import LineEncoder

UNBUFFERED = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""What keeps caches and proxies from holding events back (the last one is nginx's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """Say how a stream becomes bytes: all that the streams of one media type have of their own."""

    headers: Mapping[str, str]
    """The response's, which the view's own win over."""
    encoder: Callable[[], Encode]
    """Makes the encoder of one stream, which may remember what it was given."""
    heartbeat: bytes
    """What is sent in silence, and every reader passes over."""


@lru_cache(maxsize=32)
def event_stream(to_json: JSONEncode | None = None) -> WireFormat:
    """Return the format of server-sent events (WHATWG HTML, section 9.2)."""
    return WireFormat(
        headers={"Content-Type": "text/event-stream; charset=utf-8", **UNBUFFERED},
        encoder=partial(FrameEncoder, to_json),
        # A whole comment. It needs no empty line: clients drop it as it comes.
        heartbeat=b":\n",
    )


@lru_cache(maxsize=32)
def json_lines(
    to_json: JSONEncode | None = None, *, envelope: bool = True, media_type: str = "application/jsonl"
) -> WireFormat:
    """Return the format of JSON Lines; without ``envelope``, a line is an event's data alone."""
    return WireFormat(
        headers={"Content-Type": media_type, **UNBUFFERED},
        encoder=partial(LineEncoder, to_json, envelope=envelope),
        # White space in front of the next line's JSON; an empty line would be one that is no JSON.
        heartbeat=b" ",
    )


def json_list(to_json: JSONEncode | None, *, envelope: bool, content_type: str) -> WireFormat:
    """Return the format of a list that is sent as a whole: its elements are encoded as lines."""
    return WireFormat(
        headers={"Content-Type": content_type}, encoder=partial(LineEncoder, to_json, envelope=envelope), heartbeat=b""
    )
