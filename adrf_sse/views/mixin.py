"""Views whose handlers are sources."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import NotAcceptable
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView as DRFAPIView

from adrf_sse.events.event import END_ID
from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.renderers.json_list import is_json, list_format, list_measure
from adrf_sse.renderers.list_response import ListResponse
from adrf_sse.renderers.streaming import StreamingRenderer, stream_in_place_of
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runtime.loops import loop_of
from adrf_sse.serializers.event_serializers import Declared, check_declarations, event_serializers
from adrf_sse.streams.collector import Collector, StreamTooLong
from adrf_sse.streams.failures import ErrorFormat, format_error_of
from adrf_sse.streams.lifecycle import Lifecycle
from adrf_sse.streams.limits import reserve
from adrf_sse.streams.open_streams import add_unread
from adrf_sse.streams.options import Options, StreamOptions, check_attributes, options, options_of
from adrf_sse.streams.reauthorization import ViewAuthorization, check_client
from adrf_sse.streams.shutdown import shutdown
from adrf_sse.streams.sources import discard, is_source
from adrf_sse.streams.stream import EventStream
from adrf_sse.views.handlers import Handler, call, checked_response
from adrf_sse.views.negotiation import StreamNegotiation
from adrf_sse.views.requests import last_event_id

if TYPE_CHECKING:
    # adrf has no type information, but its views derive from REST framework's.
    class APIView(DRFAPIView):
        async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any: ...

    Base = APIView
else:
    from adrf.views import APIView

    Base = object

NOT_A_STREAM = "This endpoint is a stream."


class EventStreamMixin(StreamNegotiation, ErrorFormat, StreamOptions, Base):
    """Let the handlers of an adrf view or viewset be sources. Put the mixin in front of the view class.

    A handler may be an asynchronous or synchronous generator, or a method decorated with ``@asynccontextmanager``. It
    may also return a source, ``Response(source)``, ``Response(data)`` or any ``HttpResponse``, as a coroutine or as a
    plain method. What a source raises before its first event goes through the view's exception handler.
    """

    view_is_async = True

    event_serializers: Mapping[str, Declared] | None = None
    """Serializers for the events' data, by event name. Events with other names are then errors."""

    _authorization: ViewAuthorization | None = None
    _wanted_form: bool | None = None  # what wants_stream() has returned

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        mro = cls.__mro__
        if DRFAPIView in mro and APIView not in mro[mro.index(EventStreamMixin) :]:
            raise TypeError(
                f"EventStreamMixin must stand in front of an adrf view or viewset class, got {cls.__name__}"
                f"({', '.join(base.__name__ for base in cls.__bases__)}). Put it first, and derive from adrf's class. "
                "A view or viewset of Django REST Framework's own needs no mixin: with EventStreamRenderer in its "
                "renderer_classes, return Response(source), and set options as attributes."
            )
        check_attributes(cls)
        check_declarations(cls)

    @property
    def last_event_id(self) -> str | None:
        """The last event ID that the client received: the ``Last-Event-ID`` header, or ``?last_event_id=``."""
        return last_event_id(self.request)

    def reauthorize(self, request: Request) -> None:
        """Check again, on a fresh request, that the client may still read. An exception ends the stream.

        Called every ``reauthorize_interval``, in a stream thread, on a copy of the view as it was when it was
        dispatched. Override it to check more.
        """
        check_client(self, request)

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Dispatch as adrf does, to a handler of any kind."""
        shutdown.keep_listening()
        self._authorization = ViewAuthorization(self)  # always: reauthorize_interval may depend on the request
        method = (request.method or "").lower()
        handler: Handler | None = getattr(self, method, None)
        if handler is None or method not in self.http_method_names:
            return await super().async_dispatch(request, *args, **kwargs)
        setattr(self, method, self._answering(handler))
        response = await super().async_dispatch(request, *args, **kwargs)
        self._restore(method, handler)
        return response

    def _restore(self, method: str, handler: Handler) -> None:
        """Set the view's own handler again. Saves 0.5 KiB for each idle stream, which keeps its view."""
        if getattr(handler, "__func__", None) is getattr(type(self), method, None):
            delattr(self, method)
        else:
            setattr(self, method, handler)  # set by as_view(), as a viewset's actions are, or by setup(), as HEAD is

    def _answering(self, handler: Handler) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
        """Return a coroutine function that calls a handler of any kind and returns its response."""

        async def answer(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if self.finite and request.method != "OPTIONS" and self.last_event_id == END_ID:
                return HttpResponse(status=status.HTTP_204_NO_CONTENT)
            wanted = self._wanted_form = await self._negotiated(request) if request.method != "OPTIONS" else None
            result = await call(handler, request, *args, **kwargs)
            if is_source(result):
                return await self._stream(result, wanted)
            if isinstance(result, Response) and is_source(result.data):
                return await self._stream(result.data, wanted, result)
            if isinstance(result, EventStreamResponse):
                await self._open(result.stream, options_of(self))
            return checked_response(result, handler)

        return answer

    async def _stream(self, source: Any, wanted: bool | None, response: Response | None = None) -> HttpResponseBase:
        """Open a source, and return the response that streams it, or that lists its events.

        ``response`` is the view's own response, whose data the source is, if the view has returned one.
        """
        self._select_renderer(self.request, wanted)
        renderer = self.request.accepted_renderer
        if isinstance(renderer, EventStreamConsoleRenderer):
            return renderer.page_for(response or Response(source))
        if is_json(renderer):
            return await self._collect(response or Response(source), list_format(renderer))
        if not isinstance(renderer, StreamingRenderer):
            discard(source)
            raise NotAcceptable(f"{NOT_A_STREAM}{self._advice()}")
        chosen = options_of(self)
        stream = self._event_stream(renderer, source, chosen)
        await self._open(stream, chosen)
        if response is None:
            return EventStreamResponse(stream, request=self.request)
        return stream_in_place_of(response, stream, self.request)

    def _event_stream(self, renderer: StreamingRenderer, source: Any, chosen: Options) -> EventStream:
        """Return the stream of a source."""
        return renderer.event_stream(source, chosen, event_serializers(self), format_error_of(self))

    async def _open(self, stream: EventStream, chosen: Options) -> None:
        """Let the view's ``reauthorize_interval`` apply to a stream, and wait for its first event."""
        self._reauthorize(stream, chosen)
        stream.request = self.request._request
        if self.request.method != "HEAD" and stream.is_new:
            reserve(stream, self.request._request)
            await stream.first_event(loop_of(self.request._request))
            add_unread(stream)

    def _reauthorize(self, stream: Lifecycle, chosen: Options) -> None:
        authorization, self._authorization = self._authorization, None
        if authorization is not None and chosen.reauthorize_interval is not None:
            stream.reauthorize(chosen.reauthorize_interval, partial(authorization.check, self.request))

    async def _collect(self, response: Response, wire_format: WireFormat) -> HttpResponseBase:
        """Read the source in the response's data to its end, and replace it with the list of its events."""
        chosen = options_of(self)
        if self.request.method == "HEAD":
            stream = EventStream(response.data, options({}), wire_format)  # a list is not compressed, for one
            return stream_in_place_of(response, stream, self.request)
        renderer, request = self.request.accepted_renderer, self.request._request
        measure = list_measure(renderer, self.request.accepted_media_type)
        collector = Collector(response.data, chosen, wire_format, request, measure, event_serializers(self))
        self._reauthorize(collector, chosen)
        reserve(collector, request)
        collector.reserve_list()
        try:
            lines = await collector.collect(loop_of(request))
        except StreamTooLong as exc:
            raise NotAcceptable(f"{exc}{self._advice()}") from None
        return ListResponse(lines, collector.list_slot, response=response, send_timeout=chosen.send_timeout)

    def _advice(self) -> str:
        """Return a sentence that tells a client how to request the stream."""
        types = [each.media_type for each in self.get_renderers() if isinstance(each, StreamingRenderer)]
        return f" Ask for it with the header Accept: {' or '.join(types)}." if types else ""


class AsyncSSEAPIView(EventStreamMixin, APIView):
    """A view that streams what its handlers yield."""

    renderer_classes: Sequence[type[BaseRenderer]] = [EventStreamRenderer]
