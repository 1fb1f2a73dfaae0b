"""The response that any Django view can return."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Unpack

import django
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from adrf_sse.channels.control import control
from adrf_sse.events.json_encoders import default_json_encoder
from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import TooManyClientStreams, TooManyStreams
from adrf_sse.logs import view_name
from adrf_sse.runtime.loops import served_by_loop
from adrf_sse.runtime.request_bodies import release_parsed_body
from adrf_sse.streams.compression import CompressedChunks, compressed, negotiated_coding
from adrf_sse.streams.failures import FormatError, checked_format_error
from adrf_sse.streams.limits import reserve
from adrf_sse.streams.open_streams import add_unread, open_streams
from adrf_sse.streams.options import ResponseOptions, options
from adrf_sse.streams.sources import AnySource
from adrf_sse.streams.stream import EventStream
from adrf_sse.streams.wsgi import WSGIReader

_ENCODED_JSON = WireFormat(headers={"Content-Type": "application/json"}, encoder=lambda: bytes, heartbeat=b"")
"""The format of a refusal, whose source yields its body."""

open_streams.watcher = control  # here, so that every process that streams can be told which streams to end


class EventStreamResponse(StreamingHttpResponse):
    """Stream a source's events: under ASGI from the event loop, under WSGI one by one from the worker's thread.

    ``source`` may also be an ``EventStream``. The other arguments are options, as on a view. ``headers``, and headers
    that are set later, replace the defaults. Django's handlers tell the response its request; pass ``request`` if
    something else iterates over the response. ``format_error`` returns what is sent for an error after the first event,
    as the method of views does. Raises ``TypeError`` or ``ValueError`` for a bad source or option. If no thread is free
    for a synchronous source, or if ``MAX_STREAMS`` streams are open, the response is a 503 with ``Retry-After``.
    """

    def __init__(
        self,
        source: AnySource,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        request: HttpRequest | Request | None = None,
        format_error: FormatError | None = None,
        **given: Unpack[ResponseOptions],
    ) -> None:
        parsed = request if isinstance(request, Request) else None
        request = request._request if isinstance(request, Request) else request
        try:
            stream = source
            if not isinstance(stream, EventStream):
                stream = EventStream(stream, options(given), format_error=checked_format_error(format_error))
            if reserve(stream, request):
                add_unread(stream)  # so that a response that nothing reads is not counted for long
        except (TooManyStreams, TooManyClientStreams) as refusal:
            stream = EventStream(_body_of(refusal), options({"heartbeat": None}), _ENCODED_JSON)
            status, headers = refusal.status_code, _headers_of(refusal)
        self._stream = stream
        self._parsed = parsed
        self._request = request
        self._coding: str | None = None  # that the client has been told
        defaults = stream.wire_format.headers
        content_type = None if "content-type" in map(str.lower, headers or {}) else defaults["Content-Type"]
        super().__init__(stream, content_type=content_type, status=status, headers=headers)
        for name, value in defaults.items():
            self.headers.setdefault(name, value)
        if stream.compress:
            patch_vary_headers(self, ["Accept-Encoding"])

    @property
    def stream(self) -> EventStream:
        """The stream that is the body, whatever middleware makes of it."""
        return self._stream

    @property
    def streaming_content(self) -> Any:
        """What the server sends: the stream, or what middleware has set in its place."""
        if self._content is self._stream:
            return self._stream if self.is_async else iter(self._stream)
        return self._parts(self._content) if self.is_async else map(self.make_bytes, self._content)

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        self._content = value
        if hasattr(value, "close"):
            self._resource_closers.append(value.close)  # type: ignore[attr-defined]

    @property
    def is_async(self) -> bool:  # type: ignore[override]
        """Whether middleware must wrap ``streaming_content`` with an asynchronous iterator.

        The stream itself can be read in both ways; it depends on what serves the request.
        """
        return served_by_loop() if self._content is self._stream else not hasattr(self._content, "__iter__")

    def has_header(self, header: str) -> bool:
        """Claim to have ``Content-Encoding``, so that no middleware compresses the stream.

        The middleware of Django 5.2 makes each chunk a gzip member of its own, and browsers read only the first one.
        That of Django 6.0 delays events.
        """
        if header.lower() == "content-encoding" and (self._stream.compress or not _gzip_middleware_flushes()):
            return True
        return super().has_header(header)

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the headers. Django sends these, and only now the request is known in every case."""
        if self._stream.compress and "Content-Encoding" not in self.headers:
            request = self._request or self._handled_request()
            self._coding = None if request is None else negotiated_coding(request.META.get("HTTP_ACCEPT_ENCODING", ""))
            if self._coding is not None:
                self.headers["Content-Encoding"] = self._coding
        return super().items()

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._prepare()
        chunks = self._stream if self._content is self._stream else self._wrapped()
        return chunks if self._coding is None else CompressedChunks(chunks, self._coding)

    def __iter__(self) -> Iterator[bytes]:
        self._prepare()
        chunks = self._chunks()
        return chunks if self._coding is None else compressed(chunks, self._coding)

    def _chunks(self) -> Iterator[bytes]:
        if self._content is self._stream:
            return iter(self._stream)
        return WSGIReader(self._stream, self._wrapped()) if self.is_async else super().__iter__()

    def _prepare(self) -> None:
        """Tell the stream its request. HEAD has no body, so its source is never started."""
        self._stream.is_served = self._handler_class is not None  # type: ignore[attr-defined]
        parsed, self._parsed = self._parsed, None
        if parsed is not None and not self._stream.is_reauthorized:  # permissions may depend on the body
            release_parsed_body(parsed)  # only now, after the middleware
        request = self._stream.request = self._request or self._handled_request()
        if request is None:
            return
        _forget_caches(request)
        _refuse_without_checks(self._stream, request)
        if request.method == "HEAD":
            self._coding = None  # which would give the body an end
            self._stream.close()
        elif self._request is None:
            reserve(self._stream, request, refuse=False)  # too late: the headers are sent

    def _handled_request(self) -> HttpRequest | None:
        # Django's handlers add the request's close() to each response that they return to the server.
        for closer in self._resource_closers:  # type: ignore[attr-defined]
            owner = getattr(closer, "__self__", None)
            if isinstance(owner, HttpRequest):
                return owner
        return None

    async def _parts(self, content: Any) -> AsyncIterator[bytes]:
        async for part in content:
            yield self.make_bytes(part)

    async def _wrapped(self) -> AsyncGenerator[bytes, None]:
        """Read what middleware made of the stream, and close both: Django closes the outermost iterator only."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stream.aclose)
            content: Any = self._content if self.is_async else super().__aiter__()
            if hasattr(content, "aclose"):
                stack.push_async_callback(content.aclose)
            async for part in content:
                yield self.make_bytes(part)


def _gzip_middleware_flushes() -> bool:
    """Return whether ``GZipMiddleware`` compresses streams as Django 6.1 does: one member, flushed with each chunk."""
    return django.VERSION >= (6, 1) and "django.middleware.gzip.GZipMiddleware" in settings.MIDDLEWARE


def _forget_caches(request: HttpRequest) -> None:
    """Drop cached values that the request can compute again. Saves 1.1 KiB for each idle stream."""
    cached = vars(request)
    cached.pop("headers", None)
    if hasattr(type(request), "GET") and not cached.get("GET") and not request.META.get("QUERY_STRING"):
        cached.pop("GET", None)


def _refuse_without_checks(stream: EventStream, request: HttpRequest) -> None:
    """Raise ``TypeError`` if the view of a request wants reauthorization, and knows nothing of the stream."""
    route = getattr(request.resolver_match, "func", None)
    view_class = getattr(route, "cls", None)
    attribute = getattr(view_class, "reauthorize_interval", None)
    interval = getattr(route, "initkwargs", {}).get("reauthorize_interval", attribute)
    if interval is not None and not hasattr(interval, "__get__") and not stream.is_reauthorized:
        stream.close()
        raise TypeError(
            f"{view_name(request)} must return Response(source), or have EventStreamMixin, because its "
            f"reauthorize_interval is {interval!r}: got an EventStreamResponse, which is not checked again."
        )


def _headers_of(refusal: TooManyStreams | TooManyClientStreams) -> dict[str, str]:
    return {"Retry-After": str(refusal.wait)}


async def _body_of(refusal: TooManyStreams | TooManyClientStreams) -> AsyncIterator[bytes]:
    yield default_json_encoder()({"detail": refusal.detail})
