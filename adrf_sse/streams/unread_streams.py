"""Streams that a view has started and that nothing reads yet.

If the client disconnects before Django reads the response, or a middleware answers with another response, nothing else
ends the stream: Django cancels the request's task and closes no response. So the end of the request closes the stream.
"""

from contextvars import ContextVar
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from asgiref.sync import ThreadSensitiveContext
from django.core.signals import request_finished

from adrf_sse.runtime.contexts import thread_context


class UnreadStream(Protocol):
    """A stream that its response may leave unread."""

    @property
    def is_read(self) -> bool:
        """Whether something reads the stream, and will close it."""

    def close(self) -> None:
        """End the stream, from any thread."""


_by_context: WeakKeyDictionary[ThreadSensitiveContext, UnreadStream] = WeakKeyDictionary()
_under_wsgi: ContextVar[UnreadStream | None] = ContextVar("adrf_sse_unread_stream", default=None)
"""asgiref passes context variables from the view's loop to the worker's thread."""


def add_unread(stream: UnreadStream) -> None:
    """Remember a stream for the current request."""
    context = thread_context()
    if context is not None:
        _by_context[context] = stream
    else:
        _under_wsgi.set(stream)


def pop_unread() -> UnreadStream | None:
    """Return the current request's stream, and forget it, because it is read from now on."""
    context = thread_context()
    if context is not None:
        return _by_context.pop(context, None)
    stream = _under_wsgi.get()
    _under_wsgi.set(None)
    return stream


def _close_unread(**kwargs: Any) -> None:
    stream = pop_unread()
    if stream is not None and not stream.is_read:
        stream.close()


request_finished.connect(_close_unread, dispatch_uid="adrf_sse.unread_streams")
