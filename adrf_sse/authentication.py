"""Tickets: authentication for ``EventSource``, which can't send the header ``Authorization``."""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, ClassVar
from urllib.parse import unquote

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.cache import caches
from django.core.exceptions import ValidationError as InvalidValue
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

_SALT = "adrf_sse.authentication.ticket"
_REDEEMED = "_adrf_sse_ticket_user"
"""The attribute of a request whose ticket was used, with its user's primary key."""

MAX_PATH = 2000
"""Characters of a path at most."""


class TicketAuthentication(BaseAuthentication):
    """Authenticate a GET request by the ticket in its query: ``?ticket=…``.

    A ticket is valid once, for one user, for one path, and for ``lifetime`` seconds. ``TicketView`` issues tickets. The
    cache ``cache_alias`` remembers those that were used, so all processes must share it. Without a ticket, the view's
    next authentication class is asked. While a stream is open, ``reauthorize_interval`` checks that its user still
    exists and is active, and not the ticket again.
    """

    lifetime: ClassVar[int] = 30
    """Seconds in which a ticket must be used."""

    cache_alias: ClassVar[str] = "default"
    """The cache of ``settings.CACHES`` that remembers the tickets that were used."""

    parameter: ClassVar[str] = "ticket"
    """The name of the query parameter."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Return the user of the request's ticket. Raises ``AuthenticationFailed`` if the ticket is not valid."""
        attributes = vars(request._request)
        if _REDEEMED in attributes:  # the stream's own request, checked again
            return self._active_user(attributes[_REDEEMED]), None
        ticket = request.query_params.get(self.parameter)
        if not ticket or request.method != "GET":
            return None
        key = self._redeem(ticket, request._request.path)
        user = self._active_user(key)
        attributes[_REDEEMED] = key
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """Return the value of ``WWW-Authenticate``, so that a refusal is a 401 response."""
        return "Ticket"

    @classmethod
    def issue(cls, user: Any, path: str) -> str:
        """Return a new ticket of a user for a path, which is compared with ``request.path``."""
        contents = [str(user.pk), path, token_urlsafe(16)]
        return signing.TimestampSigner(salt=_SALT).sign_object(contents)

    def get_user(self, key: str) -> Any:
        """Return the user with a primary key, or ``None``. Override it if users are not in the database."""
        users = get_user_model()._base_manager
        try:
            return users.filter(pk=key).first()
        except (TypeError, ValueError, InvalidValue):
            return None

    def _redeem(self, ticket: str, path: str) -> str:
        """Return the primary key of a ticket's user. The ticket can't be used again."""
        try:
            key, allowed, nonce = signing.TimestampSigner(salt=_SALT).unsign_object(ticket, max_age=self.lifetime)
        except (signing.BadSignature, ValueError):
            raise _refusal() from None
        # Kept for longer than the ticket is valid, because clocks differ.
        if allowed != path or not caches[self.cache_alias].add(f"{_SALT}:{nonce}", 1, 2 * self.lifetime + 60):
            raise _refusal()
        return str(key)

    def _active_user(self, key: str) -> Any:
        user = self.get_user(key)
        if user is None or not getattr(user, "is_active", True):
            raise _refusal()
        return user


class TicketView(APIView):
    """Issue tickets: ``POST {"path": "/orders/42/events/"}`` returns ``{"ticket": "…", "expires_in": 30}``.

    Authenticate the request as your API does, with a header or a session. The path is that of a URL, without a query.
    """

    permission_classes = [IsAuthenticated]

    authentication: ClassVar[type[TicketAuthentication]] = TicketAuthentication
    """The class that accepts the tickets."""

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a ticket of the request's user."""
        path = request.data.get("path") if isinstance(request.data, Mapping) else None
        ticket = self.authentication.issue(request.user, _checked_path(path))
        body = {"ticket": ticket, "expires_in": self.authentication.lifetime}
        return Response(body, headers={"Cache-Control": "no-store"})


def _checked_path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "?" in value or "#" in value or len(value) > MAX_PATH:
        raise ValidationError({"path": ["Send the path of a stream, such as /orders/42/events/, without a query."]})
    return unquote(value)


def _refusal() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The ticket is not valid for this path, has expired, or was used before. Request a new one.", "invalid_ticket"
    )
