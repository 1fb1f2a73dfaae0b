"""What a view's operations answer: whether they stream, and what may come in a stream's place."""

from collections.abc import Callable, Iterator
from inspect import isasyncgenfunction, isgeneratorfunction, unwrap
from typing import Any

from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.views import APIView, exception_handler

STREAM_TYPE = "text/event-stream"
LINE_TYPES = ("application/jsonl", "application/x-ndjson")
SEQUENTIAL_TYPES = (STREAM_TYPE, *LINE_TYPES)
"""The media types that are one event after another (OpenAPI 3.2, section "Sequential Media Types")."""


def is_sequential(renderer: BaseRenderer | type[BaseRenderer]) -> bool:
    """Tell whether a renderer gives one event after another."""
    return renderer.media_type in SEQUENTIAL_TYPES


def surely_streams(view: APIView, method: str) -> bool:
    """Tell whether a view's handler is a generator, or a context manager made of one."""
    function = function_of(view, method)
    return any(map(is_sequential, view.get_renderers())) and (
        isasyncgenfunction(function) or isgeneratorfunction(function)
    )


def may_stream(view: APIView, method: str) -> bool:
    """Tell whether a view's handler streams, for all that can be seen.

    What a handler returns is not known. It is taken for a source where that is what a client gets who asks for nothing
    special, and the handler is not one of Django REST Framework's or adrf's own.
    """
    home = function_of(view, method).__module__.partition(".")[0]
    by_default = is_sequential(view.get_renderers()[0]) and home not in ("adrf", "rest_framework")
    return by_default or surely_streams(view, method)


def function_of(view: APIView, method: str) -> Callable[..., Any]:
    """Return the function that handles a method, without its decorators."""
    handler: Callable[..., Any] = unwrap(getattr(view, getattr(view, "action", None) or method.lower()))
    return handler


def refusals(view: APIView, path: str, method: str) -> Iterator[tuple[int, str]]:
    """Yield the status codes that a client may get in place of the stream, each with what it means."""
    if any(type(permission) is not AllowAny for permission in view.get_permissions()):
        if view.get_authenticators() and view.get_authenticate_header(view.request):
            yield status.HTTP_401_UNAUTHORIZED, "Who asks is not known."
        yield status.HTTP_403_FORBIDDEN, "Who asks may not read this stream."
    if "{" in path:
        yield status.HTTP_404_NOT_FOUND, "There is no such stream."
    if view.get_throttles():
        yield status.HTTP_429_TOO_MANY_REQUESTS, "Too many requests."
    if isgeneratorfunction(function_of(view, method)):
        yield status.HTTP_503_SERVICE_UNAVAILABLE, "Too many streams are open."


def has_default_refusals(view: APIView) -> bool:
    """Tell whether errors are answered as Django REST Framework does: ``{"detail": …}``."""
    return view.get_exception_handler() is exception_handler
