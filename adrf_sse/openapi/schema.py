"""OpenAPI descriptions of streams, through drf-spectacular (extra ``adrf-sse[openapi]``).

The app imports this where ``drf_spectacular`` is in ``INSTALLED_APPS``; nothing else needs to be set up.
"""

from collections.abc import Iterator, Mapping
from functools import wraps
from inspect import cleandoc, getmembers_static, isclass, isfunction
from typing import Any
from weakref import WeakValueDictionary

from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.views import APIView

try:
    from drf_spectacular.drainage import warn
    from drf_spectacular.extensions import OpenApiViewExtension
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.plumbing import get_class
    from drf_spectacular.settings import spectacular_settings
    from drf_spectacular.types import OpenApiTypes
    from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
except ImportError as exc:
    raise ImportError(
        "adrf_sse.openapi needs drf-spectacular, which is not installed. Run: pip install 'adrf-sse[openapi]'"
    ) from exc

from adrf_sse.openapi.descriptions import FAILURE, REFUSAL, EventDescription, Events, Schema
from adrf_sse.openapi.operations import (
    LINE_TYPES,
    SEQUENTIAL_TYPES,
    STREAM_TYPE,
    has_default_refusals,
    is_sequential,
    may_stream,
    refusals,
    surely_streams,
)
from adrf_sse.serializers.event_serializers import Declared, has_serializer, serializer_of_unnamed
from adrf_sse.streams.options import default_of
from adrf_sse.views import EventStreamMixin

Handler = Any

LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The id of the last event that the client has seen. Browsers send it when they reconnect.",
)
LAST_EVENT_ID_IN_QUERY = OpenApiParameter(
    "last_event_id", OpenApiTypes.STR, OpenApiParameter.QUERY, description="The same, where a header can't be set."
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    description="Seconds.",
    response=[status.HTTP_429_TOO_MANY_REQUESTS, status.HTTP_503_SERVICE_UNAVAILABLE],
)


class ItemSchema(dict[str, Any]):
    """Hold the schema of each item of a sequential response, which OpenAPI 3.2 has a keyword for."""


class StreamResponses(dict[Any, Any]):
    """Hold the responses of a stream that ``@extend_schema`` says nothing of."""


class EventStreamSchema(AutoSchema):
    """Describe the operations that stream, and leave the others of the view to drf-spectacular.

    It stands behind the project's own schema class, whose overrides win, as those of ``@extend_schema`` do.
    """

    @property
    def streams(self) -> bool:
        """Whether the operation that is being described streams."""
        if surely_streams(self.view, self.method):
            return True
        # Where only the code could tell, what @extend_schema says of the responses settles it.
        return may_stream(self.view, self.method) and isinstance(self.get_response_serializers(), StreamResponses)

    @property
    def method_mapping(self) -> dict[str, str]:  # type: ignore[override]
        """What operations are called by their methods: a ``list`` action that streams keeps its name."""
        mapping = dict(AutoSchema.method_mapping)
        return mapping | {"get": "list"} if getattr(self.view, "action", None) == "list" else mapping

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        """Return the operation, its items under ``itemSchema`` where the document knows that."""
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None and spectacular_settings.OAS_VERSION.startswith("3.2"):
            for media_type in _media_types_of(operation):
                if isinstance(media_type.get("schema"), ItemSchema):
                    media_type["itemSchema"] = media_type.pop("schema")
        return operation

    def get_description(self) -> str:  # type: ignore[override]
        """Return the view's own words, and not those of the package's classes."""
        description = super().get_description()
        ours = (cls.__doc__ for cls in type(self.view).__mro__ if cls.__module__.partition(".")[0] == "adrf_sse")
        return "" if description in (cleandoc(doc) for doc in ours if doc) else description

    def get_override_parameters(self) -> list[Any]:
        """Add what a client says of the events that it has seen, and when a refused one may come again."""
        parameters = list(super().get_override_parameters())
        if not self.streams:
            return parameters
        in_query = [LAST_EVENT_ID_IN_QUERY] if isinstance(self.view, EventStreamMixin) else []
        return [*parameters, LAST_EVENT_ID, *in_query, RETRY_AFTER]

    def get_request_serializer(self) -> Any:
        """Return a generic view's serializer. Any other's ``serializer_class`` is for events."""
        view = self.view
        if not self.streams or (isinstance(view, GenericAPIView) and has_serializer(view)):
            return super().get_request_serializer()
        return None

    def get_response_serializers(self) -> Any:
        """Return the stream, in each format that the view has a renderer for, and what may come in its place."""
        if not may_stream(self.view, self.method):
            return super().get_response_serializers()
        stream: dict[Any, OpenApiResponse] = {
            (status.HTTP_200_OK, media_type): OpenApiResponse(schema, "A stream of events.")
            for media_type, schema in self._contents()
        } or {status.HTTP_200_OK: OpenApiResponse(None, "A stream of events.")}
        refusal = REFUSAL if has_default_refusals(self.view) else {"type": "object"}
        answers = {
            (code, JSONRenderer.media_type): OpenApiResponse(dict(refusal), description)
            for code, description in refusals(self.view, self.path, self.method)
        }
        return StreamResponses(stream | self._farewell() | answers)

    def map_renderers(self, attribute: str) -> list[Any]:
        """Return what the view renders with. What is no stream goes out as JSON, whatever a client asks for."""
        found: list[Any] = super().map_renderers(attribute)
        if attribute == "format" or self.streams:
            return found
        return [media_type for media_type in found if media_type not in SEQUENTIAL_TYPES] or [JSONRenderer.media_type]

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A stream is no list that is filtered and paged.
        return False if serializer is None and self.streams else bool(super()._is_list_view(serializer))

    def _contents(self) -> Iterator[tuple[str, Schema]]:
        allowed = super().map_renderers("media_type")
        events, failure = self._events()
        for renderer in self.view.get_renderers():
            media_type = (renderer.media_type or "").partition(";")[0]
            if media_type in allowed:
                schema = self._content(renderer, media_type, events, failure)
                if schema is not None:
                    yield media_type, schema

    def _content(
        self, renderer: BaseRenderer, media_type: str, events: Events, failure: EventDescription
    ) -> Schema | None:
        """Return what a renderer makes of the events. A list has no failure in it: that is an HTTP error."""
        json_schema = not spectacular_settings.OAS_VERSION.startswith("3.0")
        envelope = getattr(renderer, "envelope", True)
        typed = events.declared and failure.name not in {event.name for event in events.declared}
        with_failure = Events([*events.declared, failure], events.others) if typed else events
        if media_type == STREAM_TYPE:
            return ItemSchema(with_failure.frame(json_schema=json_schema))
        if media_type in LINE_TYPES:
            return ItemSchema(with_failure.line(json_schema=json_schema, envelope=envelope))
        if isinstance(renderer, JSONRenderer) and isinstance(self.view, EventStreamMixin):
            return {"type": "array", "items": events.line(json_schema=json_schema, envelope=envelope)}
        return None

    def _events(self) -> tuple[Events, EventDescription]:
        """Return the events that the view sends, and the one that reports a failure."""
        named, unnamed = self._declared()
        described = [EventDescription(name, self._data(declared)) for name, declared in (named or {}).items()]
        if unnamed is not None:
            described.append(EventDescription(None, self._data(unnamed)))
        name = getattr(self.view, "error_event", default_of("error_event"))
        return Events(described, others=named is None), EventDescription(name, FAILURE)

    def _declared(self) -> tuple[Mapping[str, Declared] | None, Declared | None]:
        if not isinstance(self.view, EventStreamMixin):
            return None, None
        try:
            return self.view.event_serializers, serializer_of_unnamed(self.view)
        except Exception as exc:
            warn(
                f"event_serializers and get_serializer_class() of {type(self.view).__name__} must work without a real "
                f"request, got {exc!r}. Look at self.swagger_fake_view there, or use @extend_schema."
            )
            return None, None

    def _data(self, declared: Declared) -> Schema:
        made = declared() if isclass(declared) else declared
        return self._unwrap_list_serializer(made, "response") or {}

    def _farewell(self) -> dict[Any, Any]:
        if not getattr(self.view, "finite", False):
            return {}
        return {status.HTTP_204_NO_CONTENT: OpenApiResponse(None, "The client has read the stream to its end.")}


class EventStreamViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Put ``EventStreamSchema`` behind the schema class of every view that may stream."""

    target_class = APIView
    match_subclasses = True
    priority = -1  # an extension that a project or another package has for a view comes first

    def view_replacement(self) -> type[APIView]:
        """Return the view, described by ``EventStreamSchema`` where it has a renderer that streams."""
        view: type[APIView] = self.target
        given = getattr(self.target_callback, "initkwargs", {})
        renderers = given.get("renderer_classes", view.renderer_classes)
        schema = get_class(view.schema)
        if not issubclass(schema, AutoSchema) or not any(is_sequential(renderer) for renderer in renderers):
            return view
        return _described(view, schema)


_replacements: WeakValueDictionary[tuple[type[APIView], type[AutoSchema]], type[APIView]] = WeakValueDictionary()


def _described(view: type[APIView], schema: type[AutoSchema]) -> type[APIView]:
    """Return the view with ``EventStreamSchema`` behind its own schema class and those of its handlers.

    One class stands for all operations of a view, as drf-spectacular tells views by their classes.
    """
    replacement = _replacements.get((view, schema))
    if replacement is None:
        namespace = {"__doc__": view.__doc__, "__module__": view.__module__, "__qualname__": view.__qualname__}
        namespace |= {name: _redescribed(handler) for name, handler in getmembers_static(view, _own_schema)}
        replacement = type(view.__name__, (view,), namespace | {"schema": _extended(schema)()})
        _replacements[view, schema] = replacement
    return replacement


def _media_types_of(operation: Schema) -> Iterator[Schema]:
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()


def _own_schema(handler: Handler) -> Any:
    """Return the schema class that ``@extend_schema`` has given a handler."""
    schema = getattr(handler, "kwargs", {}).get("schema") if isfunction(handler) else None
    return schema if schema is not None and issubclass(get_class(schema), AutoSchema) else None


def _redescribed(handler: Handler) -> Handler:
    """Return a stand-in for a handler whose own schema goes on to ``EventStreamSchema``."""

    @wraps(handler)
    def stand_in(self: Any, *args: Any, **kwargs: Any) -> Any:
        return handler(self, *args, **kwargs)

    stand_in.kwargs = {**handler.kwargs, "schema": _extended(get_class(_own_schema(handler)))}  # type: ignore[attr-defined]
    return stand_in


def _extended(schema: type[AutoSchema]) -> type[AutoSchema]:
    """Return a schema class with ``EventStreamSchema`` behind all that it has of its own."""
    if issubclass(EventStreamSchema, schema):
        return EventStreamSchema
    return schema if issubclass(schema, EventStreamSchema) else type(schema.__name__, (schema, EventStreamSchema), {})
