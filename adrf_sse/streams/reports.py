"""Reports of a stream, to the log and to Django's signals."""

import logging
from collections.abc import Coroutine
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.dispatch import Signal
from django.http import Http404
from rest_framework import exceptions

from adrf_sse.logs import about, log, logger
from adrf_sse.runtime.stream_threads import run_in_stream_thread
from adrf_sse.signals import Reason, stream_closed, stream_opened

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle

SHOWN = 60
"""Characters of an event's text that a log record shows at most."""

_OPENED = "%(method)s %(path)s: the stream has opened."
_ENDED = (
    "%(method)s %(path)s: the stream has ended, %(reason)s, after %(duration).3f s, %(events)d events, %(bytes)d bytes."
)
_FRAMED_TEXT = (
    "%(method)s %(path)s: the source %(source)s of the view %(view)s yielded a str that is already a frame, and it was "
    "sent as data: %(text)s. Yield the data alone, or yield the frame as bytes."
)
_REFUSED = "%(method)s %(path)s: the source %(source)s refused its client while it was streaming. %(refusal)s"
_UNCHECKED = (
    "%(method)s %(path)s: could not check if the client may still read the source %(source)s of the view %(view)s. "
    "The check is repeated soon, and the stream stays open meanwhile. %(error)s"
)


def report_opened(stream: "Lifecycle") -> Coroutine[Any, Any, None] | None:
    """Log that the headers of a stream are sent. Return what sends ``stream_opened``, if the signal has receivers."""
    log(logging.DEBUG, _OPENED, stream.request)
    return _send(stream_opened, stream) if stream_opened.has_listeners() else None


def report_closed(stream: "Lifecycle", reason: Reason, opened_at: float) -> Coroutine[Any, Any, None] | None:
    """Log that a stream has ended. Return what sends ``stream_closed``, if the signal has receivers.

    ``opened_at`` is a time of ``monotonic()``.
    """
    end = {
        "reason": reason,
        "duration": monotonic() - opened_at,
        "events": stream.events,
        "bytes": stream.bytes,
    }
    log(logging.INFO, _ENDED, stream.request, **end)
    return _send(stream_closed, stream, **end) if stream_closed.has_listeners() else None


async def _send(signal: Signal, stream: "Lifecycle", **values: Any) -> None:
    await run_in_stream_thread(partial(signal.asend_robust, sender=type(stream), stream=stream, **values))


async def report_failure(stream: "Lifecycle", source: object, error: Exception, message: str) -> None:
    """Log an error with its traceback, and send ``got_request_exception``. ``message`` has ``%r`` for the source.

    A refusal is not an error of the server, so it is a warning in one line, as Django logs a response with 4xx.
    """
    if is_refusal(error):
        refusal = ": ".join(filter(None, (type(error).__name__, str(error))))
        log(logging.WARNING, _REFUSED, stream.request, source=repr(source), refusal=refusal)
        return
    logger.error(message, source, exc_info=error, extra=about(stream.request, source=repr(source)))
    await got_request_exception.asend_robust(sender=type(stream), request=stream.request)


def report_failed_check(stream: "Lifecycle", source: object, error: Exception) -> None:
    """Log that a check of reauthorization could not be made. The error is shown in one line, without its traceback."""
    shown = ": ".join(filter(None, (type(error).__name__, str(error))))
    log(logging.WARNING, _UNCHECKED, stream.request, source=repr(source), error=shown)


def report_framed_text(stream: "Lifecycle", source: object, text: str) -> None:
    """Log that a source yielded a frame as text, which its client receives as data."""
    log(logging.WARNING, _FRAMED_TEXT, stream.request, source=repr(source), text=text[:SHOWN])


def is_refusal(error: Exception) -> bool:
    """Return whether an exception refuses a client: before the first event, it would be a response with 4xx."""
    if isinstance(error, exceptions.APIException):
        return error.status_code < 500
    return isinstance(error, PermissionDenied | Http404)


def sole_cause(error: Exception) -> Exception:
    """Return the only error of a group, as a task group raises it. Return any other error as it is."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
