"""The streams that are open in this process, and those that a view has started and that nothing reads yet.

If the client disconnects before Django reads the response, or a middleware answers with another response, nothing else
ends such a stream: Django cancels the request's task and closes no response. So the end of the request closes it. If
the server's ``send`` raises, Django sends no ``request_finished`` either. Then the end of the request's thread context
closes the stream.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, ref

from asgiref.sync import ThreadSensitiveContext
from django.core.signals import request_finished

from adrf_sse.runtime.contexts import thread_context
from adrf_sse.runtime.request_threads import call_after_request

if TYPE_CHECKING:
    from adrf_sse.streams.lifecycle import Lifecycle


class LoopWatcher(Protocol):
    """What is called in an event loop about the streams that it runs."""

    def first_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the loop begins to run streams."""

    def last_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the loop runs no stream any more."""


class OpenStreams:
    """The streams of this process, each from its start to its end. ``len()`` counts them, from any thread."""

    def __init__(self) -> None:
        self._streams: set[Lifecycle] = set()
        self._by_loop: Counter[asyncio.AbstractEventLoop] = Counter()
        self._empty = asyncio.Event()
        self.watcher: LoopWatcher | None = None
        """Is told when an event loop begins to run streams, and when it has no stream any more."""

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> "Iterator[Lifecycle]":
        return iter(tuple(self._streams))

    def by_view(self) -> Counter[str]:
        """Count the streams of each view, from any thread."""
        return Counter(stream.view_name for stream in self)

    def add(self, stream: "Lifecycle") -> None:
        """Add a stream that starts. Called in the event loop that runs it."""
        self._streams.add(stream)
        self._empty.clear()
        loop = asyncio.get_running_loop()
        self._by_loop[loop] += 1
        if self._by_loop[loop] == 1 and self.watcher is not None:
            self.watcher.first_started(loop)

    def discard(self, stream: "Lifecycle") -> None:
        """Remove a stream that has ended. Called in the event loop that ran it."""
        if stream not in self._streams:
            return
        self._streams.discard(stream)
        if not self._streams:
            self._empty.set()
        loop = asyncio.get_running_loop()
        self._by_loop[loop] -= 1
        if not self._by_loop[loop]:
            del self._by_loop[loop]
            if self.watcher is not None:
                self.watcher.last_ended(loop)

    async def wait_until_empty(self) -> None:
        """Wait until no stream is open."""
        if self._streams:
            await self._empty.wait()


open_streams = OpenStreams()

_by_context: "WeakKeyDictionary[ThreadSensitiveContext, Lifecycle]" = WeakKeyDictionary()
_under_wsgi: "ContextVar[ref[Lifecycle] | None]" = ContextVar("adrf_sse_unread_stream", default=None)
"""asgiref passes context variables from the view's loop to the worker's thread. Weak, because threads go on."""


def add_unread(stream: "Lifecycle") -> None:
    """Remember a stream for the current request."""
    context = thread_context()
    if context is not None:
        _by_context[context] = stream
        call_after_request(context, partial(_close_after_request, ref(context)))
    else:
        _under_wsgi.set(ref(stream))


def pop_unread() -> "Lifecycle | None":
    """Return the current request's stream, and forget it, because it is read from now on."""
    context = thread_context()
    if context is not None:
        return _by_context.pop(context, None)
    unread = _under_wsgi.get()
    _under_wsgi.set(None)
    return None if unread is None else unread()


def _close_after_request(context: "ref[ThreadSensitiveContext]") -> None:
    stream = _by_context.pop(key, None) if (key := context()) is not None else None
    if stream is not None and not stream.is_read:
        stream.abandon()


def _close_unread(**kwargs: Any) -> None:
    stream = pop_unread()
    if stream is not None and not stream.is_read:
        stream.close()


request_finished.connect(_close_unread, dispatch_uid="adrf_sse.open_streams")
