"""Handlers: what a view calls to get a source or a response."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from adrf_sse.streams.sources import kind_of

Handler = Callable[..., Any]

_MANAGER_CODE: Any = asynccontextmanager(cast(Any, print)).__code__
"""The code of every function that is decorated with ``@asynccontextmanager``."""


def overridable(handler: Handler) -> Handler:
    """Return the handler. Type checkers then accept a handler of any kind in its place in a subclass."""
    return handler


async def call(handler: Handler, *args: Any, **kwargs: Any) -> Any:
    """Call a handler of any kind, in a thread if it runs code of its own before it returns."""
    result = await begin_call(handler, *args, **kwargs)
    return await result if kind_of(result) == "awaitable" else result


async def begin_call(handler: Handler, *args: Any, **kwargs: Any) -> Any:
    """Call a handler of any kind, and return what it returns: a coroutine, if it is a coroutine function."""
    if _only_creates(getattr(handler, "event_stream_function", handler)):
        return handler(*args, **kwargs)
    return await sync_to_async(handler)(*args, **kwargs)


def _only_creates(function: Handler) -> bool:
    """Return whether calling a function only creates a generator, a coroutine or a context manager."""
    if isasyncgenfunction(function) or iscoroutinefunction(function) or isgeneratorfunction(function):
        return True
    return getattr(function, "__code__", None) is _MANAGER_CODE


def checked_response(result: Any, handler: Handler) -> HttpResponseBase:
    """Return what a handler returned. Raises ``TypeError`` if it is not a response."""
    if not isinstance(result, HttpResponseBase):
        raise TypeError(
            f"{handler.__qualname__} must yield events, or return a source or a response, got {result!r}. "
            "Return Response(data) for data."
        )
    return result
