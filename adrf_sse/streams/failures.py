"""Failures: the event that tells a client that the source of its stream has failed."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.views import exception_handler

from adrf_sse.events.event import ERROR_EVENT, ServerSentEvent
from adrf_sse.events.frames import checked_event
from adrf_sse.logs import about, logger

FormatError = Callable[[Exception], Any]
"""Returns what a stream sends for an error, as ``format_error()`` of a view. It may be a coroutine function."""

FORMAT_TIMEOUT = 5.0
"""Seconds that ``format_error()`` may take at most. A client whose check has failed must not read for longer."""


class Failing(Protocol):
    """What reports an error with its last frame."""

    request: HttpRequest | None

    def last_frame(self, item: Any) -> bytes:
        """Return the last frame: an item that a source may yield, or ``None`` if there is none."""
        ...


class ErrorFormat:
    """Give a view ``format_error()``, which decides what its streams send for an error after the first event."""

    def format_error(self, exc: Exception) -> Any | Awaitable[Any]:
        """Return what is sent for an error after the first event: anything that a source may yield, or ``None``.

        The default is an event named ``error_event``. Its data is ``{"detail": …, "code": …}``, or what the view's
        exception handler answers if the handler is not REST framework's own. ``None`` sends nothing. A synchronous
        method runs in a thread, so it may use the ORM; the method may also be a coroutine function.
        """
        return _answer_of_handler(self, exc)


def checked_format_error(value: Any) -> FormatError | None:
    """Return the value. Raises ``TypeError`` if it is neither a function nor ``None``."""
    if value is not None and not callable(value):
        raise TypeError(f"format_error must be a function of an exception, got {value!r}. Write def format_error(exc).")
    function: FormatError | None = value
    return function


def format_error_of(view: Any) -> FormatError | None:
    """Return what formats a view's errors, or ``None`` if they have the default format."""
    own = checked_format_error(getattr(view, "format_error", None))
    if own is not None and getattr(own, "__func__", None) is not ErrorFormat.format_error:
        return own
    handler = view.get_exception_handler() if hasattr(view, "get_exception_handler") else exception_handler
    return None if handler is exception_handler else lambda error: _answer_of_handler(view, error)


def _answer_of_handler(view: Any, error: Exception) -> ServerSentEvent:
    """Return the event that reports an error, with the data of the view's exception handler."""
    name = getattr(view, "error_event", ERROR_EVENT)
    handler = view.get_exception_handler()
    if handler is exception_handler:
        return failure_event(error, name)
    data = getattr(handler(error, view.get_exception_handler_context()), "data", None)
    return failure_event(error, name) if data is None else ServerSentEvent(data, event=name)


async def failure_frame(
    stream: Failing, source: object, error: Exception, name: str, format_error: FormatError | None
) -> bytes:
    """Return the last frame of a stream whose source has failed.

    If ``format_error`` raises, hangs, or returns what can't be sent, this is logged, and the frame is the default one.
    ``name`` is the name of the default event.
    """
    details = about(stream.request, source=repr(source))
    if format_error is not None:
        try:
            async with asyncio.timeout(FORMAT_TIMEOUT):
                item = await _formatted(format_error, error)
            return stream.last_frame(None if item is None else checked_event("what format_error() returns", item))
        except Exception:
            logger.exception("format_error() has failed for %r.", error, extra=details)
    try:
        return stream.last_frame(failure_event(error, name))
    except Exception:  # an APIException may have a detail of any kind
        logger.exception("The detail of %r can't be encoded.", error, extra=details)
        return stream.last_frame(failure_event(Exception(), name))


async def _formatted(format_error: FormatError, error: Exception) -> Any:
    if iscoroutinefunction(format_error):
        return await format_error(error)
    result = await sync_to_async(format_error)(error)
    return await result if isawaitable(result) else result


def failure_event(error: Exception, name: str) -> ServerSentEvent:
    """Return the event that reports a failure: ``{"detail": …, "code": …}``."""
    shown = _shown(error)
    return ServerSentEvent({"detail": shown.detail, "code": shown.get_codes()}, event=name)


def _shown(error: Exception) -> exceptions.APIException:
    match error:
        case exceptions.APIException():
            return error
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case _:
            return exceptions.APIException()
