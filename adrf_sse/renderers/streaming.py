"""What the renderers that stream share."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from adrf_sse.events.fields import JSONEncode
from adrf_sse.events.json_encoders import json_encoder
from adrf_sse.events.wire_formats import WireFormat
from adrf_sse.exceptions import TooManySyncStreams
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.options import options
from adrf_sse.streams.pump import Serialize
from adrf_sse.streams.sources import is_source
from adrf_sse.streams.stream import EventStream


class StreamingRenderer(BaseRenderer):
    """Stream ``Response(source)`` from any adrf or Django REST Framework view; send any other data as JSON.

    Django renders in a thread and takes what comes back for the whole body. So a stream is not rendered at all: a
    post-render callback puts an ``EventStreamResponse`` in the response's place. A subclass names its media type, and
    gives its ``wire_format()``.
    """

    data_renderer_class: type[BaseRenderer] = JSONRenderer
    """Gives the JSON of event data, and of responses that are not streams."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return JSON for data; for a source, arrange that it is streamed, and return nothing."""
        context = dict(renderer_context or {})
        response: Response | None = context.get("response")
        if not is_source(data):
            return self._json(data, response, context)
        if response is None or accepted(response) not in (self, None):
            return f"An event stream. Ask for it with Accept: {self.media_type}.".encode()
        try:
            stream = self.event_stream(data)
        except TooManySyncStreams as refusal:
            return self._refuse(refusal, response, context)
        # First of the callbacks: those of middleware and of cache_page() must see a streaming response.
        callbacks: list[Any] = response._post_render_callbacks  # type: ignore[attr-defined]
        callbacks.insert(0, lambda rendered: stream_in_place_of(rendered, stream, context.get("request")))
        return b""

    def event_stream(self, source: Any, *, serialize: Serialize | None = None, **given: Any) -> EventStream:
        """Return a stream of the source's events, their data serialized, and encoded by ``data_renderer_class``."""
        wire_format = self.wire_format(json_encoder(self.data_renderer_class))
        return EventStream(source, options(given), wire_format, serialize=serialize)

    def wire_format(self, to_json: JSONEncode) -> WireFormat:
        """Return the form that the events take on the wire."""
        raise NotImplementedError(f"{type(self).__name__} must have a wire_format() of its own.")

    def _json(self, data: Any, response: Response | None, context: dict[str, Any]) -> bytes:
        renderer = self.data_renderer_class()
        if response is not None and response.content_type is None and accepted(response) in (self, None):
            charset = f"; charset={renderer.charset}" if renderer.charset else ""
            response["Content-Type"] = f"{renderer.media_type}{charset}"
        body = renderer.render(data, renderer.media_type, context)
        return body.encode(renderer.charset or "utf-8") if isinstance(body, str) else bytes(body)

    def _refuse(self, refusal: TooManySyncStreams, response: Response, context: dict[str, Any]) -> bytes:
        response.status_code = refusal.status_code
        response["Retry-After"] = str(refusal.wait)
        return self._json({"detail": refusal.detail}, response, context)


def accepted(response: Response) -> BaseRenderer | None:
    """Return the renderer that negotiation has chosen for a response."""
    return getattr(response, "accepted_renderer", None)


def stream_in_place_of(response: Response, stream: EventStream, request: Request | None) -> EventStreamResponse:
    """Return the response of a stream, with the status, headers and cookies that the view gave its own."""
    headers = {name: value for name, value in response.items() if name.lower() != "content-type"}
    if response.content_type is not None:
        headers["Content-Type"] = response.content_type
    streaming = EventStreamResponse(
        stream, status=response.status_code, headers=headers, request=request and request._request
    )
    streaming.cookies = response.cookies
    return streaming
