"""Views whose handlers are sources."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, ClassVar, cast

from adrf.views import APIView
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
from adrf_sse.renderers.json_lines import JSONLinesRenderer
from adrf_sse.renderers.json_list import is_json, list_format
from adrf_sse.renderers.streaming import StreamingRenderer, stream_in_place_of
from adrf_sse.responses import EventStreamResponse
from adrf_sse.serializers.event_serializers import Declared, check_declarations, event_serializers
from adrf_sse.streams.collector import Collector, StreamTooLong
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.options import OPTION_NAMES, STREAM_OPTION_NAMES, checked, default_of, options
from adrf_sse.streams.reauthorization import Authorization
from adrf_sse.streams.sources import discard, is_source
from adrf_sse.streams.stream import EventStream
from adrf_sse.views.handlers import Handler, call, checked_response
from adrf_sse.views.requests import last_event_id, loop_of

NOT_A_STREAM = "This endpoint is a stream."


class _Default:
    """Read an option's default from the settings, on the class as on its instances."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return default_of(self._name)


class EventStreamMixin:
    """Let the handlers of an adrf view or viewset be sources; goes in front of the view class.

    A handler may be an asynchronous or synchronous generator, a method decorated with ``@asynccontextmanager``, or
    return (in a coroutine or not) a source, ``Response(source)``, ``Response(data)`` or any ``HttpResponse``.
    What a source raises before its first event goes through the view's exception handler, like any other error.
    """

    view_is_async = True

    heartbeat: float | None = _Default()  # type: ignore[assignment]
    """Seconds of silence after which a comment is sent; ``None`` sends none."""
    retry: int | None = _Default()  # type: ignore[assignment]
    """Reconnection delay in milliseconds, sent first."""
    first_event_timeout: float = _Default()  # type: ignore[assignment]
    """Seconds that the headers wait for the first event; 0 sends them at once."""
    max_duration: float | None = _Default()  # type: ignore[assignment]
    """Seconds after which, give or take 10 %, the stream ends and its client comes back."""
    send_timeout: float | None = _Default()  # type: ignore[assignment]
    """Seconds that a client may take nothing before it is let go."""
    reauthorize_interval: float | None = _Default()  # type: ignore[assignment]
    """Seconds after which ``reauthorize()`` is called, again and again while the stream is open; ``None``: never."""
    finite: bool = _Default()  # type: ignore[assignment]
    """The stream has an end: a client that comes back after it gets 204, which tells it to stop."""
    error_event: str = _Default()  # type: ignore[assignment]
    """Name of the event that reports a failure."""
    event_serializers: Mapping[str, Declared] | None = None
    """Serializers of the events' data, by the events' names; then no other name may be sent."""

    request: Request
    _authorization: Authorization | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        mro = cls.__mro__
        if DRFAPIView in mro and APIView not in mro[mro.index(EventStreamMixin) :]:
            raise TypeError(
                f"EventStreamMixin must stand in front of an adrf view or viewset class, got {cls.__name__}"
                f"({', '.join(base.__name__ for base in cls.__bases__)}). Put it first, and derive from adrf's class."
            )
        own = {name: value for name, value in vars(cls).items() if name in OPTION_NAMES}
        checked({name: value for name, value in own.items() if not hasattr(value, "__get__")})
        check_declarations(cls)

    @property
    def last_event_id(self) -> str | None:
        """The last event id that the client has seen: the ``Last-Event-ID`` header, else ``?last_event_id=``."""
        return last_event_id(self.request)

    def reauthorize(self, request: Request) -> None:
        """Check again, on a fresh request, that the client may go on reading: what this raises ends the stream.

        Called every ``reauthorize_interval``, in a stream thread, on a copy of the view as it came to its dispatch.
        Extend it with what else decides who may read.
        """
        self.perform_authentication(request)  # type: ignore[attr-defined]
        self.check_permissions(request)  # type: ignore[attr-defined]

    def get_renderers(self) -> list[BaseRenderer]:
        """Return what the view can render with; a renderer of JSON Lines once for each media type it has."""
        renderers: list[BaseRenderer] = super().get_renderers()  # type: ignore[misc]
        return [
            each
            for renderer in renderers
            for each in (renderer.alternatives() if isinstance(renderer, JSONLinesRenderer) else [renderer])
        ]

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Dispatch as adrf does, to a handler of any shape."""
        open_streams.listen()
        if self.reauthorize_interval is not None:
            self._authorization = Authorization(self)
        method = (request.method or "").lower()
        handler: Handler | None = getattr(self, method, None)
        if handler is None or method not in self.http_method_names:  # type: ignore[attr-defined]
            return cast(HttpResponseBase, await super().async_dispatch(request, *args, **kwargs))  # type: ignore[misc]
        setattr(self, method, self._answering(handler))
        response: HttpResponseBase = await super().async_dispatch(request, *args, **kwargs)  # type: ignore[misc]
        self._put_back(method, handler)
        return response

    def _put_back(self, method: str, handler: Handler) -> None:
        """Leave nothing of the dispatch on the view, which an open stream may hold for hours."""
        self.headers: dict[str, str] = {}  # the response has them
        if getattr(handler, "__func__", None) is getattr(type(self), method, None):
            delattr(self, method)
        else:
            setattr(self, method, handler)  # by as_view(), as a viewset's actions are, or setup(), as HEAD is

    def _answering(self, handler: Handler) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
        """Return the coroutine function that stands for a handler of any shape."""

        async def answer(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if self.finite and request.method != "OPTIONS" and self.last_event_id == END_ID:
                return HttpResponse(status=status.HTTP_204_NO_CONTENT)
            result = await call(handler, request, *args, **kwargs)
            if is_source(result):
                return await self._stream(Response(result))
            if isinstance(result, Response) and is_source(result.data):
                return await self._stream(result)
            if isinstance(result, EventStreamResponse):
                self._keep_authorized(result.stream)
            return checked_response(result, handler)

        return answer

    async def _stream(self, response: Response) -> HttpResponseBase:
        """Open the source that is the response's data, and return the response that streams it, or its events."""
        renderer = self.request.accepted_renderer
        if isinstance(renderer, EventStreamConsoleRenderer):
            return renderer.page_for(response)
        if is_json(renderer):
            return await self._collect(response, list_format(renderer))
        if not isinstance(renderer, StreamingRenderer):
            discard(response.data)
            raise NotAcceptable(f"{NOT_A_STREAM}{self._advice()}")
        stream = renderer.event_stream(response.data, serialize=event_serializers(self), **self._options())
        self._keep_authorized(stream)
        stream.request = self.request._request
        if self.request.method != "HEAD":
            await stream.first_event(loop_of(self.request))
            open_streams.add_unread(stream)
        return stream_in_place_of(response, stream, self.request)

    def _keep_authorized(self, stream: EventStream) -> None:
        """Have the stream's client checked every ``reauthorize_interval``."""
        if self._authorization is not None:
            interval = checked({"reauthorize_interval": self.reauthorize_interval})["reauthorize_interval"]
            stream.reauthorize(interval, partial(self._authorization.check, self.request))

    async def _collect(self, response: Response, wire_format: WireFormat) -> HttpResponseBase:
        """Read the source that is the response's data to its end, and put the list of its events in its place."""
        chosen = options(self._options())
        if self.request.method == "HEAD":
            stream = EventStream(response.data, chosen, wire_format)
            return stream_in_place_of(response, stream, self.request)
        collector = Collector(response.data, chosen, wire_format, self.request._request, event_serializers(self))
        try:
            response.data = await collector.collect(loop_of(self.request))
        except StreamTooLong as exc:
            raise NotAcceptable(f"{exc}{self._advice()}") from None
        return response

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in STREAM_OPTION_NAMES}

    def _advice(self) -> str:
        """Return the sentence that tells a client how to ask for the stream."""
        types = [each.media_type for each in self.get_renderers() if isinstance(each, StreamingRenderer)]
        return f" Ask for it with the header Accept: {' or '.join(types)}." if types else ""


class AsyncSSEAPIView(EventStreamMixin, APIView):  # type: ignore[misc]
    """A view that streams what its handlers yield."""

    renderer_classes: ClassVar[list[type[BaseRenderer]]] = [EventStreamRenderer]
