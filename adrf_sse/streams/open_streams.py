"""The streams that are open in this process, by request, and all of them when the process is told to end."""

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from asgiref.sync import ThreadSensitiveContext
from django.core.signals import request_finished

from adrf_sse.runtime.contexts import thread_context
from adrf_sse.runtime.loops import running_loop

_Handler = Callable[[int, FrameType | None], Any]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

SHUTDOWN_PATIENCE = 1.2
"""Seconds at most that a server's own signal handler waits for the streams' ends."""

SHUTDOWN_CLEANUP = 1.0
"""Seconds at most that a source may take to stop when the server ends."""

LAST_BYTES = 0.05
"""Seconds that servers get to send what is left of the responses; some stop as soon as their handler runs."""


_unread: ContextVar["Closable | None"] = ContextVar("adrf_sse_unread", default=None)


class Endable(Protocol):
    """What the registry needs of a source that runs."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that ``shut_down()`` must be called in."""

    @property
    def view_name(self) -> str:
        """What to count the source by."""

    def shut_down(self) -> None:
        """End the source because the server ends."""


class Closable(Protocol):
    """What the registry needs of a stream that its response may leave unread."""

    @property
    def is_read(self) -> bool:
        """Whether something reads the body, and so will close it."""

    def close(self) -> None:
        """End the stream, from any thread."""


class OpenStreams:
    """Know each stream from its start to its end."""

    def __init__(self) -> None:
        self._all: set[Endable] = set()
        self._unread: WeakKeyDictionary[ThreadSensitiveContext, Closable] = WeakKeyDictionary()
        self._found: dict[int, _Handler] = {}
        self._ending: asyncio.Task[None] | None = None
        self._passing_on = False
        self._shut_down = False  # the process has been told to end; servers take requests for a while yet
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all)

    def by_view(self) -> Counter[str]:
        """Count the streams of each view, from any thread."""
        return Counter(stream.view_name for stream in tuple(self._all))

    def add(self, stream: Endable) -> None:
        """Know a stream as open, and hear of shutdowns from now on; one that comes too late for that ends at once."""
        self._all.add(stream)
        if self._shut_down:
            self._tell(stream)
        self.listen()

    def discard(self, stream: Endable) -> None:
        """Forget a stream that has ended."""
        self._all.discard(stream)
        if not self._all:
            self._empty.set()

    # Streams that a view has started, until something reads them. Where the client leaves before Django has begun to,
    # or a middleware answers with another response, nothing else tells the stream: Django then cancels the request's
    # task, and closes no response.

    def add_unread(self, stream: Closable) -> None:
        """Remember a stream for the request whose view this runs in."""
        context = thread_context()
        if context is not None:
            self._unread[context] = stream
        else:
            _unread.set(stream)  # under WSGI; asgiref carries it from the view's loop to the worker's thread

    def forget_unread(self) -> Closable | None:
        """Return the stream that was remembered for this request, and know it no longer: it is being read."""
        context = thread_context()
        if context is not None:
            return self._unread.pop(context, None)
        stream = _unread.get()
        _unread.set(None)
        return stream

    def close_unread(self, **kwargs: Any) -> None:
        """Close what a request leaves unread, as ``request_finished`` is sent."""
        stream = self.forget_unread()
        if stream is not None and not stream.is_read:
            stream.close()

    # Shutdown: servers wait for open responses, and an endless one never ends. Each server has set its own handlers;
    # ours stands in front of them from the first stream on, and calls them.

    def listen(self) -> None:
        """Hear of SIGTERM and SIGINT; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            found = signal.getsignal(number)
            if callable(found) and found != self._handle and found is not signal.default_int_handler:
                self._found[number] = found
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        loop = running_loop()
        if self._passing_on:
            return  # the handler that we found calls the one that it found: ours
        self._shut_down = True
        found = self._found[number]
        if loop is None or self._ending is not None:
            self._tell_streams()
            self._pass_on(found, number, frame)
        else:
            self._ending = loop.create_task(self._end(found, number))

    def _pass_on(self, found: _Handler, number: int, frame: FrameType | None) -> None:
        self._passing_on = True
        try:
            found(number, frame)
        finally:
            self._passing_on = False

    def _tell_streams(self) -> None:
        for stream in tuple(self._all):
            self._tell(stream)

    def _tell(self, stream: Endable) -> None:
        if stream.loop is not None:
            with suppress(RuntimeError):  # its loop is closed
                stream.loop.call_soon_threadsafe(stream.shut_down)

    async def _end(self, found: _Handler, number: int) -> None:
        """End the streams, then let the server have its signal."""
        if self._all:
            self._empty.clear()
            self._tell_streams()
            with suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN_PATIENCE):
                    await self._empty.wait()
            await asyncio.sleep(LAST_BYTES)
        try:
            self._pass_on(found, number, None)
        finally:
            self._ending = None


open_streams = OpenStreams()
request_finished.connect(open_streams.close_unread, dispatch_uid="adrf_sse.streams.open_streams")
