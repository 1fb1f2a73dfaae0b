"""The renderers, for ``renderer_classes``."""

from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer

__all__ = ["EventStreamConsoleRenderer", "EventStreamRenderer"]
