"""The renderers, for ``renderer_classes``."""

from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.renderers.json_lines import JSONLinesRenderer, NDJSONRenderer

__all__ = ["EventStreamConsoleRenderer", "EventStreamRenderer", "JSONLinesRenderer", "NDJSONRenderer"]
