"""Server-sent events: the value, its bytes in each wire format, and parsers that read them back."""

from adrf_sse.events.event import ServerSentEvent

__all__ = ["ServerSentEvent"]
