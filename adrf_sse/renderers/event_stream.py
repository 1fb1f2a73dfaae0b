"""Server-sent events: one line in ``renderer_classes`` makes a view stream."""

from adrf_sse import formats
from adrf_sse.encoders import JSONEncode
from adrf_sse.renderers.streaming import StreamingRenderer


class EventStreamRenderer(StreamingRenderer):
    """Stream a source as server-sent events."""

    media_type = "text/event-stream"
    format = "sse"
    charset = "utf-8"

    def wire_format(self, to_json: JSONEncode) -> formats.WireFormat:
        """Return the format of server-sent events."""
        return formats.event_stream(to_json)
