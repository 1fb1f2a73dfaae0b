"""A test client that calls the project's ASGI application in process and can disconnect during a response."""

from collections.abc import Iterable, Mapping
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.test import Client
from rest_framework.test import APIRequestFactory

from adrf_sse.testing.handler import TestHandler
from adrf_sse.testing.pending import PendingStream
from adrf_sse.testing.portal import Portal
from adrf_sse.testing.request import TestRequest

_OPTIONS = ("secure", "headers", "query_params")
"""The keywords of all methods that Django's request factory handles."""


_HINTS = {
    "follow": " Redirects are not followed: request the URL in stream.headers['Location'].",
    "Authorization": " Use HTTP_AUTHORIZATION.",
}


class _Factory(APIRequestFactory):
    """Build requests as ``APIClient`` does, with credentials that replace other headers."""

    credentials: Mapping[str, Any] = {}

    def request(self, **environ: Any) -> Any:
        """Return the request that has this WSGI environment."""
        return super().request(**{**environ, **self.credentials})


class EventStreamClient:
    """Open streams of the project, as ``rest_framework.test.APIClient`` requests other responses.

    The methods return a request that is sent when its block is entered: ``with client.get("/prices/") as stream`` in
    synchronous tests, ``async with`` in asynchronous ones. All of them accept ``secure``, ``headers``,
    ``query_params``, keys of ``META`` such as ``HTTP_AUTHORIZATION``, ``cookies`` of this request, and ``user``, who is
    logged in with a session for this request. Other keywords raise ``TypeError``.

    ``defaults`` are the same for each request. An ``application`` is called as a server would call it.
    """

    timeout: float = 5
    """The seconds for which the methods of a stream wait unless they are told otherwise, and blocks for a response."""

    def __init__(self, application: Any = None, *, enforce_csrf_checks: bool = False, **defaults: Any) -> None:
        if application is not None and not callable(application):
            raise TypeError(f"Expected an ASGI application, got {application!r}. Pass the other arguments by name.")
        _check_keywords("EventStreamClient()", defaults, ("enforce_csrf_checks", "headers", "query_params"))
        self.enforce_csrf_checks = enforce_csrf_checks
        self.application = application
        self._handler: TestHandler | None = None
        self._factory = _Factory(**defaults)
        self._sessions = Client()
        self._forced: tuple[Any, Any] = (None, None)
        self._portal: Portal | None = None

    # Send requests

    def get(self, path: str, data: Any = None, **options: Any) -> PendingStream:
        """Prepare a GET request. ``data`` is the query."""
        return self._prepare("get", path, {"data": data}, options)

    def head(self, path: str, data: Any = None, **options: Any) -> PendingStream:
        """Prepare a HEAD request. ``data`` is the query."""
        return self._prepare("head", path, {"data": data}, options)

    def trace(self, path: str, **options: Any) -> PendingStream:
        """Prepare a TRACE request."""
        return self._prepare("trace", path, {}, options)

    def post(
        self, path: str, data: Any = None, format: str | None = None, content_type: str | None = None, **options: Any
    ) -> PendingStream:
        """Prepare a POST request. ``format`` is one of ``TEST_REQUEST_RENDERER_CLASSES``, such as ``"json"``."""
        return self._prepare("post", path, {"data": data, "format": format, "content_type": content_type}, options)

    def put(
        self, path: str, data: Any = None, format: str | None = None, content_type: str | None = None, **options: Any
    ) -> PendingStream:
        """Prepare a PUT request."""
        return self._prepare("put", path, {"data": data, "format": format, "content_type": content_type}, options)

    def patch(
        self, path: str, data: Any = None, format: str | None = None, content_type: str | None = None, **options: Any
    ) -> PendingStream:
        """Prepare a PATCH request."""
        return self._prepare("patch", path, {"data": data, "format": format, "content_type": content_type}, options)

    def delete(
        self, path: str, data: Any = None, format: str | None = None, content_type: str | None = None, **options: Any
    ) -> PendingStream:
        """Prepare a DELETE request."""
        return self._prepare("delete", path, {"data": data, "format": format, "content_type": content_type}, options)

    def options(
        self, path: str, data: Any = None, format: str | None = None, content_type: str | None = None, **options: Any
    ) -> PendingStream:
        """Prepare an OPTIONS request."""
        return self._prepare("options", path, {"data": data, "format": format, "content_type": content_type}, options)

    def generic(
        self,
        method: str,
        path: str,
        data: str | bytes = "",
        content_type: str = "application/octet-stream",
        **options: Any,
    ) -> PendingStream:
        """Prepare a request with any method. ``data`` is the body."""
        return self._prepare("generic", path, {"data": data, "content_type": content_type}, options, method)

    # Authenticate

    def force_authenticate(self, user: Any = None, token: Any = None) -> None:
        """Authenticate all further requests as ``user``, with ``token`` as ``request.auth``. Log out without both."""
        self._forced = (user, token)
        if user is None and token is None:
            self.logout()

    def credentials(self, **headers: Any) -> None:
        """Set headers of all further requests: ``credentials(HTTP_AUTHORIZATION="Token …")``."""
        _check_keywords("credentials()", headers, ())
        self._factory.credentials = headers

    def login(self, **credentials: Any) -> bool:
        """Log in with a session, and return whether the credentials are right."""
        return self._sessions.login(**credentials)

    async def alogin(self, **credentials: Any) -> bool:
        """Log in with a session from an asynchronous test."""
        return await self._sessions.alogin(**credentials)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log a user in with a session, without credentials."""
        self._sessions.force_login(user, backend)

    async def aforce_login(self, user: Any, backend: str | None = None) -> None:
        """Log a user in with a session from an asynchronous test."""
        await self._sessions.aforce_login(user, backend)

    def logout(self) -> None:
        """End the session, and forget the cookies, the credentials and the user of ``force_authenticate()``."""
        if self._forget():
            self._sessions.logout()

    async def alogout(self) -> None:
        """Log out from an asynchronous test."""
        if self._forget():
            await self._sessions.alogout()

    def _forget(self) -> bool:
        """Forget who sends requests, and return whether there is a session to end."""
        self._factory.credentials, self._forced = {}, (None, None)
        if settings.SESSION_COOKIE_NAME in self.cookies:
            return True
        self.cookies = SimpleCookie()
        return False

    @property
    def session(self) -> Any:
        """The client's session, as in Django's test clients."""
        return self._sessions.session

    @property
    def cookies(self) -> "SimpleCookie":
        """The cookies of all further requests, to which responses add theirs."""
        return self._sessions.cookies

    @cookies.setter
    def cookies(self, cookies: "SimpleCookie") -> None:
        self._sessions.cookies = cookies

    # Keep the event loop of synchronous tests

    def __enter__(self) -> Self:
        self._portal = Portal.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._portal is not None:
            self._portal.release()

    # Build requests

    def _prepare(
        self, name: str, path: str, arguments: dict[str, Any], options: dict[str, Any], *method: str
    ) -> PendingStream:
        user, cookies = options.pop("user", None), options.pop("cookies", None)
        _check_keywords(f"{name}()", options, (*arguments, *_OPTIONS, "user", "cookies"))
        self._factory.cookies = self.cookies
        request: Any = getattr(self._factory, name)(*method, path, **arguments, **options)
        prepared = TestRequest(
            wsgi=request,
            body=request.environ["wsgi.input"].read(),
            cookies=cookies or {},
            user=user,
            forced=self._forced,
            enforce_csrf_checks=self.enforce_csrf_checks,
        )
        return PendingStream(self._application_for(prepared), prepared, self.cookies, self.timeout)

    def _application_for(self, request: TestRequest) -> Any:
        if self.application is not None:
            if request.needs_handler:
                raise TypeError(
                    "Expected a client without an application of its own: force_authenticate() and keys of META that "
                    "are no headers reach the project only through Django's handler. Use login() or credentials()."
                )
            return self.application
        if self._handler is None:
            self._handler = TestHandler()
        return self._handler


def _check_keywords(name: str, keywords: Iterable[str], accepted: tuple[str, ...]) -> None:
    """Raise ``TypeError`` for keywords that are neither accepted nor keys of ``META``."""
    for keyword in keywords:
        if keyword not in accepted and not keyword.isupper() and not keyword.startswith("wsgi."):
            raise TypeError(
                f"{name} expected the keywords {', '.join(accepted)}, or keys of META in capitals, such as "
                f"HTTP_AUTHORIZATION; got {keyword!r}.{_HINTS.get(keyword, '')}"
            )
