"""The renderer for server-sent events. A view that lists it in ``renderer_classes`` can stream."""

from adrf_sse.events import wire_formats
from adrf_sse.events.fields import JSONEncode
from adrf_sse.renderers.streaming import StreamingRenderer


class EventStreamRenderer(StreamingRenderer):
    """Stream a source as server-sent events."""

    media_type = "text/event-stream"
    format = "sse"
    charset = "utf-8"

    def wire_format(self, to_json: JSONEncode) -> wire_formats.WireFormat:
        """Return the format of server-sent events."""
        return wire_formats.event_stream(to_json)
