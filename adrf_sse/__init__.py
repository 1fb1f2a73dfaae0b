"""Server-Sent Events that really stream, for Django REST Framework and adrf."""

from adrf_sse.events.event import ServerSentEvent

__all__ = ["ServerSentEvent"]
__version__ = "0.1.0"
