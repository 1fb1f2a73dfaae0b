"""Server-sent events: the event itself, the wire formats that encode it, and the parsers that decode it."""

from adrf_sse.events.event import END_ID, ServerSentEvent

__all__ = ["END_ID", "ServerSentEvent"]
