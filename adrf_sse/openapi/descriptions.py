"""Schemas of a stream's events for OpenAPI documents, in each wire format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from adrf_sse.brokers.runs import Status
from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.frames import fields_of

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
ERROR_RESPONSE: Schema = {"type": "object", "properties": {"detail": TEXT}, "required": ["detail"]}
"""The body of REST framework's error responses."""
ERROR_DATA: Schema = {"type": "object", "properties": {"detail": {}, "code": {}}, "required": ["detail", "code"]}
"""The data of the event that reports an error."""

RESET_DATA: Schema = {"type": "object", "properties": {"last_event_id": {}}, "required": ["last_event_id"]}
"""The data of the event that tells a client that events it missed are lost."""
NO_DATA: Schema = {"type": "object", "maxProperties": 0}
"""The data of events whose name says everything."""

RUN_END_DATA: Schema = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["completed", "failed", "stopped", "lost"]}},
    "required": ["status"],
}
"""The data of the event that ends a run."""

_ID: Schema = {"type": "string", "description": "The ID to send as Last-Event-ID to resume after this event."}
_RETRY: Schema = {"type": "integer", "minimum": 0, "description": "Reconnection delay in milliseconds."}
_DEFAULT_NAME = "message"
"""The name under which browsers dispatch an event without a name."""


@dataclass(frozen=True, slots=True)
class EventDescription:
    """Describe the events of one name."""

    name: str | None
    """The event name, or ``None`` for events without a name."""
    data: Schema
    """The schema of the data before it is encoded as JSON. ``{}`` allows any data."""


def run_state(version: str) -> Schema:
    """Return the schema of a run's state for an OpenAPI version.

    It is no component, whose ``status`` could have the same name in the document as an enumeration of the project.
    """
    time = TEXT | {"format": "date-time"}
    nullable = time | ({"nullable": True} if version.startswith("3.0") else {"type": ["string", "null"]})
    properties = {
        "id": TEXT,
        "status": TEXT | {"enum": list(get_args(Status))},
        "started": nullable,
        "ended": nullable,
        "events": {"type": "integer", "minimum": 0},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def end_event_description(item: Any) -> EventDescription:
    """Return the description of an ``end_event``."""
    name, data, _ = fields_of(item)[-1]
    data = "" if data is None and isinstance(item, ServerSentEvent) else data
    return EventDescription(name, TEXT if isinstance(data, str) else {})


@dataclass(frozen=True, slots=True)
class Events:
    """Describe the events of a stream."""

    declared: Sequence[EventDescription]
    """The events that the view declares."""
    others: bool
    """Whether the stream may also contain events with other names."""

    def frame(self, *, json_schema: bool) -> Schema:
        """Return the schema of a server-sent event, whose data is text.

        If ``json_schema`` is true (OpenAPI 3.1 and later), ``contentSchema`` describes the JSON in the text. OpenAPI
        3.0 has no keyword for that, so there the schema describes the data as if it were not encoded.
        """
        more = {"id": _ID, "retry": _RETRY}
        return self._one_of(lambda data: _encoded(data) if json_schema else data or TEXT, TEXT, more, json_schema)

    def line(self, *, json_schema: bool, envelope: bool = True) -> Schema:
        """Return the schema of an event as JSON: an object, or the data alone without ``envelope``."""
        if envelope:
            return self._one_of(lambda data: data, {}, {"id": _ID}, json_schema)
        if self.others:
            return {"description": "The data of an event."}
        return {"anyOf": [event.data for event in self.declared]}

    def _one_of(
        self, data_schema: Callable[[Schema], Schema], other_data: Schema, more: Mapping[str, Schema], json_schema: bool
    ) -> Schema:
        if not self.declared:
            return _event(TEXT, other_data, more)
        named = [
            {"title": event.name or _DEFAULT_NAME}
            | _event(
                _constant(event.name or _DEFAULT_NAME, json_schema),
                data_schema(event.data),
                more,
                event.name is not None,
            )
            for event in self.declared
        ]
        if self.others:
            names = [event.name or _DEFAULT_NAME for event in self.declared]
            named.append(_event(TEXT | {"not": {"enum": names}}, other_data, more, True))
        return {"oneOf": named}


def _event(name: Schema, data: Schema, more: Mapping[str, Schema], is_named: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": {"event": name, "data": data, **more},
        "required": ["event", "data"] if is_named else ["data"],
    }


def _constant(value: str, json_schema: bool) -> Schema:
    return TEXT | ({"const": value} if json_schema else {"enum": [value]})


def _encoded(data: Schema) -> Schema:
    """Return the schema of data in a frame: text as it is, and any other data as JSON in a string."""
    if data.get("type") == "string":
        return data
    return TEXT | ({"contentMediaType": "application/json", "contentSchema": data} if data else {})
