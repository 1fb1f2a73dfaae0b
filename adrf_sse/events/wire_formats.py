"""Wire formats: the forms in which a stream's events are sent to a client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from adrf_sse.events.fields import JSONEncode
from adrf_sse.events.frames import Encode, FrameEncoder
from adrf_sse.events.json_lines import LineEncoder

UNBUFFERED = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Response headers that stop caches and proxies from delaying events. ``X-Accel-Buffering`` is nginx's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """Describe how the streams of one media type are sent."""

    headers: Mapping[str, str]
    """The response headers. Headers that the view sets override them."""
    encoder: Callable[[], Encode]
    """Creates the encoder for one stream. An encoder may keep state between items."""
    heartbeat: bytes
    """The bytes to send when the stream is silent. Clients ignore them."""
    names: bool = True
    """Whether the form has the names of events. Without names, the events ``ready`` and ``end`` would say nothing."""


@lru_cache(maxsize=32)
def event_stream(to_json: JSONEncode | None = None) -> WireFormat:
    """Return the format of server-sent events (WHATWG HTML, section 9.2)."""
    encoder = FrameEncoder(to_json)  # which remembers nothing, so that all streams share it
    return WireFormat(
        headers={"Content-Type": "text/event-stream; charset=utf-8", **UNBUFFERED},
        encoder=lambda: encoder,
        # Clients drop a comment line as soon as it arrives, so it needs no empty line after it.
        heartbeat=b":\n",
    )


@lru_cache(maxsize=32)
def json_lines(
    to_json: JSONEncode | None = None, *, envelope: bool = True, media_type: str = "application/jsonl"
) -> WireFormat:
    """Return the format of JSON Lines. Without ``envelope``, each line is an event's data alone."""
    return WireFormat(
        headers={"Content-Type": media_type, **UNBUFFERED},
        encoder=partial(LineEncoder, to_json, envelope=envelope),
        # JSON allows white space before a value. An empty line would be a line that is not JSON.
        heartbeat=b" ",
        names=envelope,
    )


def json_list(to_json: JSONEncode | None, *, envelope: bool, content_type: str) -> WireFormat:
    """Return the format of one JSON list. The encoder encodes each element as a line."""
    return WireFormat(
        headers={"Content-Type": content_type}, encoder=partial(LineEncoder, to_json, envelope=envelope), heartbeat=b""
    )
