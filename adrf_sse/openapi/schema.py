"""The drf-spectacular schema class of streams (extra ``adrf-sse[openapi]``)."""

from collections.abc import Iterator, Mapping
from inspect import cleandoc, isclass
from typing import Any

from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer

try:
    from drf_spectacular.drainage import warn
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.settings import spectacular_settings
    from drf_spectacular.types import OpenApiTypes
    from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
except ImportError as exc:
    raise ImportError(
        "adrf_sse.openapi needs drf-spectacular, which is not installed. Run: pip install 'adrf-sse[openapi]'"
    ) from exc

from adrf_sse.events.event import END_EVENT, READY_EVENT, RESET_EVENT
from adrf_sse.openapi.descriptions import (
    ERROR_DATA,
    ERROR_RESPONSE,
    NO_DATA,
    RESET_DATA,
    EventDescription,
    Events,
    Schema,
    end_event_description,
)
from adrf_sse.openapi.operations import (
    LINE_TYPES,
    SEQUENTIAL_TYPES,
    STREAM_TYPE,
    always_streams,
    error_responses,
    has_default_errors,
    may_stream,
)
from adrf_sse.serializers.event_serializers import Declared, has_serializer, serializer_of_unnamed
from adrf_sse.streams.options import OPTIONS
from adrf_sse.views import ChannelStreamView, EventStreamMixin

LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ID of the last event that the client has received. Browsers send it when they reconnect.",
)
LAST_EVENT_ID_IN_QUERY = OpenApiParameter(
    "last_event_id",
    OpenApiTypes.STR,
    OpenApiParameter.QUERY,
    description="The same, for clients that can't set the header.",
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    description="The delay before the next attempt, in seconds.",
    response=[status.HTTP_429_TOO_MANY_REQUESTS, status.HTTP_503_SERVICE_UNAVAILABLE],
)


class ItemSchema(dict[str, Any]):
    """The schema of each item of a sequential response. OpenAPI 3.2 has the keyword ``itemSchema`` for it."""


class StreamResponses(dict[Any, Any]):
    """The responses of a stream if ``@extend_schema`` declares none."""


class EventStreamSchema(AutoSchema):
    """Describe the streaming operations of a view. drf-spectacular describes its other operations.

    This class is a base class of the project's schema class, so overrides in the project's class take precedence.
    Overrides in ``@extend_schema`` do too.
    """

    @property
    def streams(self) -> bool:
        """Whether the current operation streams."""
        if always_streams(self.view, self.method):
            return True
        # It is not certain that this handler streams, so responses in @extend_schema mean that it doesn't.
        return may_stream(self.view, self.method) and isinstance(self.get_response_serializers(), StreamResponses)

    @property
    def method_mapping(self) -> dict[str, str]:  # type: ignore[override]
        """The names of operations by HTTP method. A ``list`` action keeps its name if it streams."""
        mapping = dict(AutoSchema.method_mapping)
        return mapping | {"get": "list"} if getattr(self.view, "action", None) == "list" else mapping

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        """Return the operation. OpenAPI 3.2 documents describe a stream's items in ``itemSchema``."""
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None and spectacular_settings.OAS_VERSION.startswith("3.2"):
            for media_type in _media_types_of(operation):
                if isinstance(media_type.get("schema"), ItemSchema):
                    media_type["itemSchema"] = media_type.pop("schema")
        return operation

    def get_description(self) -> str:  # type: ignore[override]
        """Return the view's docstring, but not one that it inherits from this package."""
        description = super().get_description()
        inherited = (cls.__doc__ for cls in type(self.view).__mro__ if cls.__module__.partition(".")[0] == "adrf_sse")
        return "" if description in (cleandoc(doc) for doc in inherited if doc) else description

    def get_override_parameters(self) -> list[Any]:
        """Add the last event ID of requests, and the ``Retry-After`` header of error responses."""
        parameters = list(super().get_override_parameters())
        if not self.streams:
            return parameters
        in_query = [LAST_EVENT_ID_IN_QUERY] if isinstance(self.view, EventStreamMixin) else []
        return [*parameters, LAST_EVENT_ID, *in_query, RETRY_AFTER]

    def get_request_serializer(self) -> Any:
        """Return a generic view's serializer. On other views, ``serializer_class`` is for events."""
        view = self.view
        if not self.streams or (isinstance(view, GenericAPIView) and has_serializer(view)):
            return super().get_request_serializer()
        return None

    def get_response_serializers(self) -> Any:
        """Return the stream in each format that the view renders, and the responses that may replace it."""
        return self._stream_responses() if may_stream(self.view, self.method) else super().get_response_serializers()

    def _stream_responses(self) -> StreamResponses:
        stream: dict[Any, OpenApiResponse] = {
            (status.HTTP_200_OK, media_type): OpenApiResponse(schema, "A stream of events.")
            for media_type, schema in self._stream_schemas()
        } or {status.HTTP_200_OK: OpenApiResponse(None, "A stream of events.")}
        return StreamResponses(stream | self._end_response() | self._errors())

    def _errors(self) -> dict[Any, Any]:
        error = ERROR_RESPONSE if has_default_errors(self.view) else {"type": "object"}
        return {
            (code, JSONRenderer.media_type): OpenApiResponse(dict(error), description)
            for code, description in self._error_responses()
        }

    def _error_responses(self) -> Iterator[tuple[int, str]]:
        """Yield the status code and the description of each error response."""
        yield from error_responses(self.view, self.path, self.method)

    def map_renderers(self, attribute: str) -> list[Any]:
        """Return the view's media types or formats. If the operation doesn't stream, JSON replaces the sequences."""
        found: list[Any] = super().map_renderers(attribute)
        if attribute == "format" or self.streams:
            return found
        return [media_type for media_type in found if media_type not in SEQUENTIAL_TYPES] or [JSONRenderer.media_type]

    def _is_list_view(self, serializer: Any = None) -> bool:
        # Filters and pagination don't apply to streams.
        return False if serializer is None and self.streams else bool(super()._is_list_view(serializer))

    def _stream_schemas(self) -> Iterator[tuple[str, Schema]]:
        allowed = super().map_renderers("media_type")
        events = self._events()
        for renderer in self.view.get_renderers():
            media_type = (renderer.media_type or "").partition(";")[0]
            if media_type in allowed:
                schema = self._stream_schema(renderer, media_type, events)
                if schema is not None:
                    yield media_type, schema

    def _stream_schema(self, renderer: BaseRenderer, media_type: str, events: Events) -> Schema | None:
        """Return the schema of the events as one renderer sends them, or ``None`` if it does not send streams.

        A JSON list contains none of the events that the package adds: an error in its source is an HTTP error, and its
        end is its bracket.
        """
        json_schema = not spectacular_settings.OAS_VERSION.startswith("3.0")
        envelope = getattr(renderer, "envelope", True)
        names = {event.name for event in events.declared}
        added = [event for event in self._added(envelope) if event.name not in names] if names else []
        streamed = Events([*events.declared, *added], events.others)
        if media_type == STREAM_TYPE:
            return ItemSchema(streamed.frame(json_schema=json_schema))
        if media_type in LINE_TYPES:
            return ItemSchema(streamed.line(json_schema=json_schema, envelope=envelope))
        if isinstance(renderer, JSONRenderer) and self._lists():
            return {"type": "array", "items": events.line(json_schema=json_schema, envelope=envelope)}
        return None

    def _lists(self) -> bool:
        """Return whether a JSON renderer sends the events as a list."""
        return isinstance(self.view, EventStreamMixin)

    def _events(self) -> Events:
        """Return the events that the view declares."""
        named, unnamed = self._declared()
        described = [EventDescription(name, self._data(declared)) for name, declared in (named or {}).items()]
        if unnamed is not None:
            described.append(EventDescription(None, self._data(unnamed)))
        return Events(described, others=named is None)

    def _added(self, envelope: bool) -> Iterator[EventDescription]:
        """Yield the events that the package adds to those of the view. Without envelopes, some have no line."""
        if isinstance(self.view, ChannelStreamView):
            yield EventDescription(RESET_EVENT, RESET_DATA)
            if envelope:
                yield EventDescription(READY_EVENT, NO_DATA)
        end_event = getattr(self.view, "end_event", None)
        if end_event is not None:
            yield end_event_description(end_event)
        elif envelope and self.method == "GET" and getattr(self.view, "finite", False):
            yield EventDescription(END_EVENT, NO_DATA)
        yield EventDescription(getattr(self.view, "error_event", OPTIONS["error_event"].default), ERROR_DATA)

    def _declared(self) -> tuple[Mapping[str, Declared] | None, Declared | None]:
        if not isinstance(self.view, EventStreamMixin):
            return None, None
        try:
            return self.view.event_serializers, serializer_of_unnamed(self.view)
        except Exception as exc:
            warn(
                f"event_serializers and get_serializer_class() of {type(self.view).__name__} must work without a real "
                f"request, got {exc!r}. Check self.swagger_fake_view there, or use @extend_schema."
            )
            return None, None

    def _data(self, declared: Declared) -> Schema:
        serializer = declared() if isclass(declared) else declared
        return self._unwrap_list_serializer(serializer, "response") or {}

    def _end_response(self) -> dict[Any, Any]:
        if not getattr(self.view, "finite", False):
            return {}
        return {status.HTTP_204_NO_CONTENT: OpenApiResponse(None, "The client has read the stream to its end.")}


def _media_types_of(operation: Schema) -> Iterator[Schema]:
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()
