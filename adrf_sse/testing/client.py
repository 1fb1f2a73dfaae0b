"""A test client that calls the project's ASGI application in process and can disconnect during a response."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import AsyncRequestFactory

from adrf_sse.testing.stream import TestStream


class _Handler(ASGIHandler):
    """Run Django's ASGI handler in the test's context, so that views see the data of the test's transaction.

    As in Django's test clients, database connections stay open when a request ends.
    """

    open_requests = 0
    """The number of requests that are running in all handlers."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._count(1)
        try:
            await self.handle(scope, receive, send)
        finally:
            self._count(-1)

    @classmethod
    def _count(cls, change: int) -> None:
        before, _Handler.open_requests = cls.open_requests, cls.open_requests + change
        if 0 in (before, cls.open_requests):
            for signal in (request_started, request_finished):
                (signal.disconnect if change > 0 else signal.connect)(close_old_connections)


class EventStreamClient(AsyncRequestFactory):
    """Open streams of the project, or of another ASGI ``application``.

    ``get()``, ``post()`` and the other methods accept the arguments of Django's test clients. They also accept
    ``cookies``, and ``user``, which is logged in with a session. Each method returns a ``TestStream``. Enter it with
    ``async with`` to send the request.
    """

    def __init__(self, application: Any = None, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.application = application or _Handler()

    def generic(  # type: ignore[override]
        self,
        method: str,
        path: str,
        *args: Any,
        user: Any = None,
        cookies: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> "TestStream":
        """Return a stream for a request with any method. All other methods call this one."""
        stream: TestStream = super().generic(method, path, *args, **kwargs)  # type: ignore[assignment]
        stream.name = f"{method} {path}"
        stream.user = user
        stream.extra_cookies = dict(cookies or {})
        return stream

    def request(self, **request: Any) -> "TestStream":  # type: ignore[override]
        """Return a stream for the request that Django's request factory has prepared."""
        body = request.pop("_body_file", None)
        return TestStream(self.application, self._base_scope(**request), body.read() if body else b"")  # type: ignore[attr-defined]
