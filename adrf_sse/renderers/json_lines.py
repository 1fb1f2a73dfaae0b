"""JSON Lines: the same sources, one JSON object a line."""

from typing import Self

from adrf_sse.events import wire_formats
from adrf_sse.events.fields import JSONEncode
from adrf_sse.renderers.streaming import StreamingRenderer


class JSONLinesRenderer(StreamingRenderer):
    """Stream a source as JSON Lines: ``{"event": …, "id": …, "data": …}``, one event a line.

    On a view with ``EventStreamMixin`` it answers its ``other_media_types`` as well. Elsewhere Django REST Framework
    asks a renderer class for one media type only: name ``NDJSONRenderer`` beside it.
    """

    media_type = "application/jsonl"
    format = "jsonl"
    charset = None  # JSON is UTF-8 (RFC 8259), and its media types have no charset

    envelope: bool = True
    """``False`` sends the data alone, without the events' names and ids."""
    other_media_types: tuple[str, ...] = ("application/x-ndjson",)
    """What else a client may ask for this format as."""

    def wire_format(self, to_json: JSONEncode) -> wire_formats.WireFormat:
        """Return the format of JSON Lines."""
        return wire_formats.json_lines(to_json, envelope=self.envelope, media_type=self.media_type)

    def alternatives(self) -> list[Self]:
        """Return this renderer, and one more like it for each of the other media types."""
        return [self, *map(self._under, self.other_media_types)]

    def _under(self, media_type: str) -> Self:
        renderer = type(self)()
        renderer.media_type = media_type
        return renderer


class NDJSONRenderer(JSONLinesRenderer):
    """Stream JSON Lines as ``application/x-ndjson``."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    other_media_types = ()
