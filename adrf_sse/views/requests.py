"""What views read from their requests."""

from django.http import HttpRequest
from rest_framework.request import Request

from adrf_sse.events.event import is_too_long


def last_event_id(request: HttpRequest | Request) -> str | None:
    """Return the last event ID that the client received, or ``None`` on its first request.

    An ID of more than 1 KiB is unknown: ``None``.
    """
    sent = sent_event_id(request)
    return None if sent is None or is_too_long(sent) else sent


def sent_event_id(request: HttpRequest | Request) -> str | None:
    """Return the last event ID that the client has sent, however long it is, or ``None``."""
    header = request.headers.get("Last-Event-ID")
    if not header:
        return request.GET.get("last_event_id") or None
    try:
        # Clients send it as UTF-8 (WHATWG HTML, section 9.2.4), and servers decode headers as Latin-1.
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
