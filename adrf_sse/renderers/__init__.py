"""The renderers, for ``renderer_classes``."""

from adrf_sse.renderers.event_stream import EventStreamRenderer

__all__ = ["EventStreamRenderer"]
