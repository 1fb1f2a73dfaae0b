"""Server-sent events: the event itself, the wire formats that encode it, and the parsers that decode it."""

from adrf_sse.events.event import ServerSentEvent

__all__ = ["ServerSentEvent"]
