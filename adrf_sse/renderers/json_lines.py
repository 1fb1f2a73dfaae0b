"""The renderers for JSON Lines: one JSON object per line."""

from typing import Self

from adrf_sse.events import wire_formats
from adrf_sse.events.fields import JSONEncode
from adrf_sse.renderers.streaming import StreamingRenderer


class JSONLinesRenderer(StreamingRenderer):
    """Stream a source as JSON Lines: ``{"event": …, "id": …, "data": …}``, one event per line.

    On a view with ``EventStreamMixin``, the renderer also responds to its ``other_media_types``. On other views, Django
    REST Framework negotiates one media type for each renderer class, so list ``NDJSONRenderer`` as well.
    """

    media_type = "application/jsonl"
    format = "jsonl"
    charset = None  # JSON is always UTF-8, and its media types have no charset parameter (RFC 8259).

    envelope: bool = True
    """``False`` sends only the data, without names and IDs."""
    other_media_types: tuple[str, ...] = ("application/x-ndjson",)
    """Other media types under which clients may request this format."""

    def wire_format(self, to_json: JSONEncode) -> wire_formats.WireFormat:
        """Return the format of JSON Lines."""
        return wire_formats.json_lines(to_json, envelope=self.envelope, media_type=self.media_type)

    def alternatives(self) -> list[Self]:
        """Return this renderer and a copy for each of the other media types."""
        return [self, *map(self._copy_for, self.other_media_types)]

    def _copy_for(self, media_type: str) -> Self:
        renderer = type(self)()
        renderer.media_type = media_type
        return renderer


class NDJSONRenderer(JSONLinesRenderer):
    """Stream JSON Lines as ``application/x-ndjson``."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    other_media_types = ()
