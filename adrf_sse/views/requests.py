"""What views read from their requests."""

from django.http import HttpRequest
from rest_framework.request import Request


def last_event_id(request: HttpRequest | Request) -> str | None:
    """Return the last event ID that the client received, or ``None`` on its first request."""
    header = request.headers.get("Last-Event-ID")
    if not header:
        return request.GET.get("last_event_id") or None
    try:
        # Clients send it as UTF-8 (WHATWG HTML, section 9.2.4), and servers decode headers as Latin-1.
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
