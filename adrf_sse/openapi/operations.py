"""The operations of a view: whether they stream, and which responses may replace the stream."""

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
"""Media types of a sequence of events (OpenAPI 3.2, section "Sequential Media Types")."""


def is_sequential(renderer: BaseRenderer | type[BaseRenderer]) -> bool:
    """Return whether a renderer's media type is a sequence of events."""
    return renderer.media_type in SEQUENTIAL_TYPES


def always_streams(view: APIView, method: str) -> bool:
    """Return whether a view's handler is a generator, or a context manager created from one."""
    function = function_of(view, method)
    return any(map(is_sequential, view.get_renderers())) and (
        isasyncgenfunction(function) or isgeneratorfunction(function)
    )


def may_stream(view: APIView, method: str) -> bool:
    """Return whether a view's handler is likely to stream.

    The code does not show whether a handler returns a source. A handler counts as a stream if the view's first renderer
    streams and the handler is not defined by Django REST Framework or adrf.
    """
    package = function_of(view, method).__module__.partition(".")[0]
    by_default = is_sequential(view.get_renderers()[0]) and package not in ("adrf", "rest_framework")
    return by_default or always_streams(view, method)


def function_of(view: APIView, method: str) -> Callable[..., Any]:
    """Return the undecorated function that handles a method."""
    handler: Callable[..., Any] = unwrap(getattr(view, getattr(view, "action", None) or method.lower()))
    return handler


def error_responses(view: APIView, path: str, method: str) -> Iterator[tuple[int, str]]:
    """Yield the status code and the description of each error response that may replace the stream."""
    if any(type(permission) is not AllowAny for permission in view.get_permissions()):
        if view.get_authenticators() and view.get_authenticate_header(view.request):
            yield status.HTTP_401_UNAUTHORIZED, "The client is not authenticated."
        yield status.HTTP_403_FORBIDDEN, "The client is not allowed to read this stream."
    if "{" in path:
        yield status.HTTP_404_NOT_FOUND, "The stream does not exist."
    if view.get_throttles():
        yield status.HTTP_429_TOO_MANY_REQUESTS, "Too many requests."
    if isgeneratorfunction(function_of(view, method)):
        yield status.HTTP_503_SERVICE_UNAVAILABLE, "Too many streams are open."


def has_default_errors(view: APIView) -> bool:
    """Return whether error responses have Django REST Framework's default body: ``{"detail": …}``."""
    return view.get_exception_handler() is exception_handler
