"""The response that any Django view can return."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from adrf_sse.events.json_encoders import default_json_encoder
from adrf_sse.exceptions import TooManySyncStreams
from adrf_sse.runtime.loops import background_loop, served_by_loop
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream


class EventStreamResponse(StreamingHttpResponse):
    """Stream a source's events, under ASGI from the event loop, under WSGI one by one from the worker's thread.

    ``source`` may also be an ``EventStream`` that is open already. The options are those of ``docs/options.md``.
    Headers given here or set later win over the defaults. ``request`` is found by itself once Django has handled the
    response; give it where something else iterates. Raises ``TypeError`` or ``ValueError`` for a bad source or
    option. Where no thread is left for a synchronous source, the response is a 503 with ``Retry-After``.
    """

    # Django's own, not in its stubs.
    _iterator: Any
    _resource_closers: list[Callable[[], object]]

    def __init__(
        self,
        source: Any,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        request: HttpRequest | None = None,
        **given: Any,
    ) -> None:
        try:
            stream = source if isinstance(source, EventStream) else EventStream(source, options(given))
        except TooManySyncStreams as refusal:
            stream = EventStream(_body_of(refusal), options({"heartbeat": None}))
            status, headers = refusal.status_code, _headers_of(refusal)
        self._stream = stream
        self._request = request
        self._wrapped_is_async = False
        defaults = stream.wire_format.headers
        content_type = None if "content-type" in map(str.lower, headers or {}) else defaults["Content-Type"]
        super().__init__(stream, content_type=content_type, status=status, headers=headers)
        for name, value in defaults.items():
            self.headers.setdefault(name, value)

    @property
    def stream(self) -> EventStream:
        """The stream that is the body, whatever a middleware makes of it."""
        return self._stream

    @property
    def is_async(self) -> bool:
        """Tell middleware whether to wrap ``streaming_content`` with an asynchronous iterator.

        The stream itself can be read both ways; what counts is who asks.
        """
        return served_by_loop() if self._iterator is self._stream else self._wrapped_is_async

    @is_async.setter
    def is_async(self, value: bool) -> None:
        self._wrapped_is_async = value

    def has_header(self, header: str) -> bool:
        """Call ``Content-Encoding`` settled, so that ``GZipMiddleware`` leaves the stream as it is.

        Django 5.2's makes each chunk a gzip member of its own, and browsers read only the first.
        """
        return header.lower() == "content-encoding" or super().has_header(header)

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._prepare()
        return self._stream if self._iterator is self._stream else self._wrapped()

    def __iter__(self) -> Iterator[bytes]:
        self._prepare()
        if self._iterator is self._stream:
            return iter(self._stream)
        content: Iterator[bytes] = self._driven() if self._wrapped_is_async else super().__iter__()
        return content

    def _prepare(self) -> None:
        """Learn what only the request knows. HEAD gets no body, so its source is never started."""
        request = self._stream.request = self._request or self._handled_request()
        if request is None:
            return
        _forget_caches(request)
        if request.method == "HEAD":
            self._stream.close()

    def _handled_request(self) -> HttpRequest | None:
        # Django's handlers leave the request's close() with each response they hand to the server.
        for closer in self._resource_closers:
            owner = getattr(closer, "__self__", None)
            if isinstance(owner, HttpRequest):
                return owner
        return None

    async def _wrapped(self) -> AsyncGenerator[bytes, None]:
        """Read what a middleware made of the stream, and close both: Django closes the outermost iterator only."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stream.aclose)
            content = self._iterator if self._wrapped_is_async else super().__aiter__()
            if hasattr(content, "aclose"):
                stack.push_async_callback(content.aclose)
            async for part in content:
                yield self.make_bytes(part)

    def _driven(self) -> Iterator[bytes]:
        """Read, from a WSGI worker's thread, what an asynchronous middleware made of the stream."""
        loop, content = background_loop.get(), self._wrapped()

        async def pull() -> bytes | None:
            return await anext(content, None)

        async def close() -> None:
            await content.aclose()

        try:
            while (chunk := asyncio.run_coroutine_threadsafe(pull(), loop).result()) is not None:
                yield chunk
        finally:
            asyncio.run_coroutine_threadsafe(close(), loop).result()


def _forget_caches(request: HttpRequest) -> None:
    """Drop what a request has worked out and can work out again, or each idle stream would hold its own."""
    cached = vars(request)
    cached.pop("headers", None)
    if hasattr(type(request), "GET") and not cached.get("GET") and not request.META.get("QUERY_STRING"):
        cached.pop("GET", None)


def _headers_of(refusal: TooManySyncStreams) -> dict[str, str]:
    return {"Content-Type": "application/json", "Retry-After": str(refusal.wait)}


async def _body_of(refusal: TooManySyncStreams) -> AsyncIterator[bytes]:
    yield default_json_encoder()({"detail": refusal.detail})
