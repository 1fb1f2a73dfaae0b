"""What the log, Django's signals and the client are told of a stream."""

import logging
from functools import partial
from time import monotonic
from typing import Any, Protocol

from django.core.signals import got_request_exception
from django.dispatch import Signal
from django.http import HttpRequest

from adrf_sse.events.frames import Encode
from adrf_sse.logs import about, log, logger
from adrf_sse.runtime.stream_threads import run_in_stream_thread
from adrf_sse.signals import Reason, stream_closed, stream_opened
from adrf_sse.streams.failures import failure_event

_OPENED = "%(method)s %(path)s: the stream has opened."
_ENDED = (
    "%(method)s %(path)s: the stream has ended, %(reason)s, after %(duration).3f s, %(events)d events, %(bytes)d bytes."
)


class Reported(Protocol):
    """A stream, as reports describe it."""

    bytes: int
    request: HttpRequest | None

    @property
    def events(self) -> int:
        """Events that the source has yielded."""


async def report_opened(stream: Reported) -> None:
    """Log that the headers of a stream are sent, and send ``stream_opened``."""
    log(logging.DEBUG, _OPENED, stream.request)
    await _send(stream_opened, stream)


async def report_closed(stream: Reported, reason: Reason, opened_at: float) -> None:
    """Log that a stream has ended, and send ``stream_closed``. ``opened_at`` is a time of ``monotonic()``."""
    end = {
        "reason": reason,
        "duration": monotonic() - opened_at,
        "events": stream.events,
        "bytes": stream.bytes,
    }
    log(logging.INFO, _ENDED, stream.request, **end)
    await _send(stream_closed, stream, **end)


async def _send(signal: Signal, stream: Reported, **values: Any) -> None:
    if signal.has_listeners():
        await run_in_stream_thread(partial(signal.asend_robust, sender=type(stream), stream=stream, **values))


async def report_failure(stream: Reported, source: object, error: Exception, message: str) -> None:
    """Log an error with its traceback, and send ``got_request_exception``. ``message`` has ``%r`` for the source."""
    logger.error(message, source, exc_info=error, extra=about(stream.request, source=repr(source)))
    await got_request_exception.asend_robust(sender=type(stream), request=stream.request)


def failure_frame(stream: Reported, source: object, error: Exception, name: str, encode: Encode) -> bytes:
    """Return the frame of the event that tells the client of a failure."""
    try:
        return encode(failure_event(error, name))
    except (TypeError, ValueError):
        logger.exception("The detail of %r can't be encoded.", error, extra=about(stream.request, source=repr(source)))
        return encode(failure_event(Exception(), name))
