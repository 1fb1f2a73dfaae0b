"""What lets an open stream go on: its request's authentication and permissions, checked again."""

from copy import copy
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import aget_user, get_user
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.request import Request

_LOOKED_UP = ("user", "auser", "auth", "_cached_user", "_acached_user")
"""What Django and REST framework keep on a request about who sent it."""

_NEGOTIATED = ("accepted_renderer", "accepted_media_type", "version", "versioning_scheme")
"""What ``APIView.initial()`` leaves on a request besides."""


class Authorization:
    """Ask a view again whether its client may read.

    ``view`` is taken as it comes to its dispatch, since what it keeps for itself from then on can be out of date.
    """

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = copy(view)

    def remember(self, **values: Any) -> None:
        """Give ``reauthorize()`` what the handler has found out, as attributes of its view."""
        vars(self._view).update(values)

    async def check(self, request: Request) -> None:
        """Raise what the view's ``reauthorize()`` raises on a fresh request, and where its user is another one."""
        await sync_to_async(self._check)(request)

    def _check(self, request: Request) -> None:
        view = copy(self._view)
        view.format_kwarg = view.get_format_suffix(**view.kwargs)
        view.request = again = view.initialize_request(fresh(request._request), *view.args, **view.kwargs)
        for name in _NEGOTIATED:
            setattr(again, name, getattr(request, name, None))
        view.reauthorize(again)
        # Where nobody has asked who the client is, its handler has served everybody alike.
        if "_user" in vars(request) and _identity(again.user) != _identity(request.user):
            raise NotAuthenticated


def is_refusal(error: Exception) -> bool:
    """Tell whether a check says no, rather than that it could not be made."""
    if isinstance(error, APIException):
        return error.status_code < 500
    return isinstance(error, PermissionDenied | Http404)


def fresh(request: HttpRequest) -> HttpRequest:
    """Return a copy of a request on which session and user are looked up anew, and what DRF has set is not."""
    again = object.__new__(type(request))
    # copy() would leave out what can't be pickled, such as the resolver match.
    vars(again).update({name: value for name, value in vars(request).items() if name not in _LOOKED_UP})
    session = getattr(request, "session", None)
    if session is not None:
        again.session = type(session)(session.session_key)
    if hasattr(request, "auser"):  # by AuthenticationMiddleware; the attribute "user" may be REST framework's
        again.user = SimpleLazyObject(partial(get_user, again))  # type: ignore[assignment]
        again.auser = partial(aget_user, again)
    return again


def _identity(user: Any) -> tuple[bool, Any]:
    return bool(getattr(user, "is_authenticated", False)), getattr(user, "pk", None)
