"""The user of a request, read without a query."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty


def is_user(value: Any) -> bool:
    """Return whether a value is a user, anonymous users included. A user that is not loaded yet is none."""
    return hasattr(type(value), "is_authenticated")


def authenticated_user(request: HttpRequest | None) -> Any:
    """Return the authenticated user of a request, or ``None``.

    Django REST Framework always authenticates. In a plain Django view, nobody is authenticated until something reads
    ``request.user``, or awaits ``request.auser()``.
    """
    values = {} if request is None else vars(request)
    user = values.get("user")
    if isinstance(user, LazyObject):
        user = None if user._wrapped is empty else user._wrapped
    if user is None:
        user = next(filter(is_user, values.values()), None)
    return user if getattr(user, "is_authenticated", False) else None
