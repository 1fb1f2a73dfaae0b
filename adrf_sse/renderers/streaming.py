"""The base class of the renderers that stream."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from adrf_sse.events.fields import JSONEncode
from adrf_sse.events.json_encoders import json_encoder
from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import TooManyClientStreams, TooManyStreams
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runtime.calling_thread import wait_in_thread
from adrf_sse.runtime.contexts import close_idle_connections
from adrf_sse.runtime.loops import loop_of, running_loop
from adrf_sse.serializers.event_serializers import event_serializers
from adrf_sse.streams.failures import FormatError, format_error_of
from adrf_sse.streams.limits import reserve
from adrf_sse.streams.open_streams import add_unread
from adrf_sse.streams.options import Options, has_option, options, options_of
from adrf_sse.streams.pump import Serialize
from adrf_sse.streams.reauthorization import ViewAuthorization
from adrf_sse.streams.sources import is_source
from adrf_sse.streams.stream import EventStream


class StreamingRenderer(BaseRenderer):
    """Stream ``Response(source)`` from any adrf or Django REST Framework view. Send any other data as JSON.

    Django renders a response in a thread, and uses the result as the whole body. So a stream is not rendered: a
    post-render callback replaces the response with an ``EventStreamResponse``. Options are attributes of the view, as
    they are with ``EventStreamMixin``. A subclass sets ``media_type`` and implements ``wire_format()``.
    """

    data_renderer_class: type[BaseRenderer] = JSONRenderer
    """Renders the data of events, and responses that are not streams, as JSON."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return JSON for data. For a source, replace the response with a stream, and return ``b""``."""
        context = dict(renderer_context or {})
        response: Response | None = context.get("response")
        if not is_source(data):
            return self._json(data, response, context)
        if response is None or accepted(response) not in (self, None):
            return f"An event stream. Ask for it with Accept: {self.media_type}.".encode()
        view, request = context.get("view"), context.get("request")
        try:
            stream = self._stream_of_view(data, view, request)
        except (TooManyStreams, TooManyClientStreams) as refusal:
            return self._refuse(refusal, response, context)
        error = _error_before_first_event(stream, view, request)
        if error is not None:
            _become(response, view.handle_exception(error))  # type: ignore[union-attr]
            return self._json(response.data, response, context)
        # In front of the other callbacks: those of middleware and of cache_page() must see a streaming response.
        callbacks: list[Any] = response._post_render_callbacks  # type: ignore[attr-defined]
        callbacks.insert(0, lambda rendered: stream_in_place_of(rendered, stream, request))
        return b""

    def _stream_of_view(self, source: Any, view: APIView | None, request: Request | None) -> EventStream:
        """Return a stream with the options and event serializers that are attributes of a view."""
        typed = getattr(view, "event_serializers", None) is not None
        chosen = options_of(view)
        stream = self.event_stream(source, chosen, event_serializers(view) if typed else None, format_error_of(view))
        if chosen.reauthorize_interval is not None and request is not None:
            stream.reauthorize(chosen.reauthorize_interval, partial(ViewAuthorization(view).check, request))
        reserve(stream, None if request is None else request._request)
        return stream

    def event_stream(
        self,
        source: Any,
        chosen: Options | None = None,
        serialize: Serialize | None = None,
        format_error: FormatError | None = None,
    ) -> EventStream:
        """Return a stream of the source's events, whose data ``serialize`` and ``data_renderer_class`` encode."""
        wire_format = self.wire_format(json_encoder(self.data_renderer_class))
        return EventStream(source, chosen or options({}), wire_format, serialize=serialize, format_error=format_error)

    def wire_format(self, to_json: JSONEncode) -> WireFormat:
        """Return the wire format of the events."""
        raise NotImplementedError(f"{type(self).__name__} must have a wire_format() of its own.")

    def _json(self, data: Any, response: Response | None, context: dict[str, Any]) -> bytes:
        renderer = self.data_renderer_class()
        if response is not None and response.content_type is None and accepted(response) in (self, None):
            charset = f"; charset={renderer.charset}" if renderer.charset else ""
            response["Content-Type"] = f"{renderer.media_type}{charset}"
        body = renderer.render(data, renderer.media_type, context)
        return body.encode(renderer.charset or "utf-8") if isinstance(body, str) else bytes(body)

    def _refuse(
        self, refusal: TooManyStreams | TooManyClientStreams, response: Response, context: dict[str, Any]
    ) -> bytes:
        response.status_code = refusal.status_code
        response["Retry-After"] = str(refusal.wait)
        return self._json({"detail": refusal.detail}, response, context)


def _error_before_first_event(stream: EventStream, view: APIView | None, request: Request | None) -> Exception | None:
    """Wait for the first event if the view sets ``first_event_timeout``, and return what the source raised before it.

    Other views don't wait: their thread would be held.
    """
    if stream.has_first_event:
        return None
    if request is None or request.method == "HEAD" or not has_option(view, "first_event_timeout") or running_loop():
        return None
    stream.request = request._request
    loop = loop_of(request._request)
    try:
        close_idle_connections()
        wait_in_thread(stream.first_event(loop, in_thread=True), loop)
    except Exception as exc:
        return exc
    add_unread(stream)
    return None


def _become(response: Response, other: Response) -> None:
    """Give a response the data, the status and the headers of another one."""
    response.data, response.status_code, response.exception = other.data, other.status_code, True
    for name, value in other.items():
        response[name] = value


def accepted(response: Response) -> BaseRenderer | None:
    """Return the renderer that content negotiation selected for a response."""
    return getattr(response, "accepted_renderer", None)


def stream_in_place_of(response: Response, stream: EventStream, request: Request | None) -> EventStreamResponse:
    """Return a streaming response with the status, the headers and the cookies of the view's own response."""
    headers = {name: value for name, value in response.items() if name.lower() != "content-type"}
    if response.content_type is not None:
        headers["Content-Type"] = response.content_type
    streaming = EventStreamResponse(stream, status=response.status_code, headers=headers, request=request)
    streaming.cookies = response.cookies
    return streaming
