"""What an OpenAPI document says about the events of a stream: JSON Schema for one event, in each wire format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
REFUSAL: Schema = {"type": "object", "properties": {"detail": TEXT}, "required": ["detail"]}
"""What REST framework answers in place of a stream."""
FAILURE: Schema = {"type": "object", "properties": {"detail": {}, "code": {}}, "required": ["detail", "code"]}
"""The data of the event that reports an error."""

_ID: Schema = {"type": "string", "description": "What a client repeats as Last-Event-ID to go on after this event."}
_RETRY: Schema = {"type": "integer", "minimum": 0, "description": "Reconnection delay in milliseconds."}
_DEFAULT_NAME = "message"
"""What browsers call an event without a name."""


@dataclass(frozen=True, slots=True)
class EventDescription:
    """Say what the events of one name carry."""

    name: str | None
    """``None`` for events without a name."""
    data: Schema
    """What the data is before it is written as JSON; ``{}`` where it may be anything."""


@dataclass(frozen=True, slots=True)
class Events:
    """Know the events of a stream: those that are declared, and whether there may be others."""

    declared: Sequence[EventDescription]
    others: bool
    """Events of other names may come as well."""

    def frame(self, *, json_schema: bool) -> Schema:
        """Return the schema of a server-sent event.

        Its data is text. What the text holds is ``contentSchema`` in ``json_schema`` (OpenAPI 3.1 and later); before,
        there is no word for that, and the data is described as what it holds.
        """
        return self._one_of(
            lambda data: _held(data) if json_schema else data or TEXT, TEXT, {"id": _ID, "retry": _RETRY}, json_schema
        )

    def line(self, *, json_schema: bool, envelope: bool = True) -> Schema:
        """Return the schema of an event as JSON: an object or, without ``envelope``, the data alone."""
        if envelope:
            return self._one_of(lambda data: data, {}, {"id": _ID}, json_schema)
        if self.others:
            return {"description": "The data of an event."}
        return {"anyOf": [event.data for event in self.declared]}

    def _one_of(self, shown: Any, other: Schema, more: Mapping[str, Schema], json_schema: bool) -> Schema:
        if not self.declared:
            return _event(TEXT, other, more)
        named = [
            {"title": event.name or _DEFAULT_NAME}
            | _event(
                _constant(event.name or _DEFAULT_NAME, json_schema), shown(event.data), more, event.name is not None
            )
            for event in self.declared
        ]
        if self.others:
            names = [event.name or _DEFAULT_NAME for event in self.declared]
            named.append(_event(TEXT | {"not": {"enum": names}}, other, more, True))
        return {"oneOf": named}


def _event(name: Schema, data: Schema, more: Mapping[str, Schema], is_named: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": {"event": name, "data": data, **more},
        "required": ["event", "data"] if is_named else ["data"],
    }


def _constant(value: str, json_schema: bool) -> Schema:
    return TEXT | ({"const": value} if json_schema else {"enum": [value]})


def _held(data: Schema) -> Schema:
    """Return the schema of text that holds data: text as itself, anything else as JSON."""
    if data.get("type") == "string":
        return data
    return TEXT | ({"contentMediaType": "application/json", "contentSchema": data} if data else {})
