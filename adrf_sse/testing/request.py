"""The request of a test: what Django REST Framework's request factory builds, as an ASGI application receives it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.test import AsyncClient
from rest_framework.test import force_authenticate

from adrf_sse.testing.handler import EXTENSION

ACCEPT = "text/event-stream, */*;q=0.1"
"""What a test accepts by default: a stream of a view that also has other renderers, and any other response."""

_IN_SCOPE = frozenset(
    (
        *("CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REQUEST_METHOD"),
        *("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
    )
)
"""The keys of ``META`` that ASGI has other fields for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRequest:
    """One request of a test."""

    __test__ = False  # pytest would collect the class because of its name.

    wsgi: WSGIRequest
    """The request as the factory has built it."""
    body: bytes = b""
    """The request's body."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    """Cookies of this request, besides those of the client."""
    user: Any = None
    """The user whose new session the request has."""
    forced: tuple[Any, Any] = (None, None)
    """The user and the token that authenticate the request, whatever its headers say."""
    enforce_csrf_checks: bool = False
    """Whether requests without a CSRF token are refused, as in production."""

    def __str__(self) -> str:
        return f"{self.wsgi.method} {self.wsgi.path}"

    @property
    def extra(self) -> dict[str, Any]:
        """What the test has set in ``META`` that no ASGI server can send."""
        items = self.wsgi.META.items()
        return {
            name: value for name, value in items if name not in _IN_SCOPE and not name.startswith(("HTTP_", "wsgi."))
        }

    @property
    def needs_handler(self) -> bool:
        """Whether the request has something that only Django's handler can be given."""
        return self.forced != (None, None) or bool(self.extra)

    async def scope(self) -> dict[str, Any]:
        """Return the ASGI scope. Creates the session of ``user``."""
        meta = self.wsgi.META
        headers = {"Host": self._host(), "Accept": ACCEPT, **self.wsgi.headers, "Cookie": await self._cookie_header()}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.wsgi.method,
            "scheme": meta["wsgi.url_scheme"],
            "path": self.wsgi.path,
            "root_path": meta["SCRIPT_NAME"],
            "query_string": meta["QUERY_STRING"].encode("latin-1"),
            "headers": [(k.lower().encode("ascii"), v.encode("latin-1")) for k, v in headers.items() if v],
            "client": [meta["REMOTE_ADDR"], 0],
            "server": [meta["SERVER_NAME"], meta["SERVER_PORT"]],
            "extensions": {EXTENSION: self._prepare},
        }

    def _host(self) -> str:
        name, port = self.wsgi.META["SERVER_NAME"], str(self.wsgi.META["SERVER_PORT"])
        default = {"http": "80", "https": "443"}[self.wsgi.META["wsgi.url_scheme"]]
        return name if port == default else f"{name}:{port}"

    def _prepare(self, request: HttpRequest) -> None:
        force_authenticate(request, *self.forced)
        request.META.update(self.extra)
        request._dont_enforce_csrf_checks = not self.enforce_csrf_checks  # type: ignore[attr-defined]

    async def _cookie_header(self) -> str:
        cookies: SimpleCookie = SimpleCookie()
        if self.user is not None:
            client = AsyncClient()
            await client.aforce_login(self.user)
            cookies.update(client.cookies)
        cookies.load(dict(self.cookies))
        given = [self.wsgi.headers["Cookie"]] if self.wsgi.headers.get("Cookie") else []
        return "; ".join(given + [f"{morsel.key}={morsel.coded_value}" for morsel in cookies.values()])
