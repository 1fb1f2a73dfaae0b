"""Tests of pydantic models, dataclasses, structs, Django models and querysets as the data of events."""

import datetime
import json
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest
from django.contrib.auth.models import Group
from django.core.serializers.json import DjangoJSONEncoder
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from adrf_sse import ServerSentEvent
from adrf_sse.brokers.messages import message_body
from adrf_sse.decorators import event_stream
from adrf_sse.events.frames import FrameEncoder
from adrf_sse.events.json_encoders import json_encoder, value_encoder
from adrf_sse.events.json_lines import LineEncoder

DAY = datetime.date(2026, 1, 2)


class Price(pydantic.BaseModel):
    x: int
    day: datetime.date = DAY


class Sum(pydantic.BaseModel):
    prices: list[Price]


@dataclass
class Point:
    x: int
    day: datetime.date = DAY


@dataclass(slots=True)
class Line:
    points: list[Any]


class Struct(msgspec.Struct):
    x: int
    day: datetime.date = DAY


class Wide(msgspec.Struct):
    inner: Any


Named = namedtuple("Named", "x day")

X = {"x": 1, "day": "2026-01-02"}
VALUES = [
    (Price(x=1), X),
    (Point(1), X),
    (Struct(1), X),
    (Sum(prices=[Price(x=1)]), {"prices": [X]}),
    (Line([Point(1), Price(x=1), Struct(1)]), {"points": [X, X, X]}),
    (Wide([Struct(1)]), {"inner": [X]}),
    (Wide(Price(x=1)), {"inner": X}),
    ({"a": [Price(x=1), (Point(1), Struct(1))], "b": Decimal("1.5")}, {"a": [X, [X, X]], "b": 1.5}),
    ([Named(1, DAY)], [[1, "2026-01-02"]]),
    (pydantic.RootModel[list[int]]([1]), [1]),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=[repr(value) for value, _ in VALUES])
def test_a_model_is_sent_as_the_json_that_it_stands_for(value, expected):
    data = json.dumps(expected, separators=(",", ":")).encode()
    assert FrameEncoder()(value) == b"data: " + data + b"\n\n"
    assert FrameEncoder()(("e", value, 7)) == b"id: 7\nevent: e\ndata: " + data + b"\n\n"
    assert ServerSentEvent(value).encode() == b"data: " + data + b"\n\n"
    assert LineEncoder(envelope=False)(value) == data + b"\n"
    assert message_body(value, "e") == b"jevent: e\ndata: " + data + b"\n\n"
    assert value_encoder(JSONRenderer)(value) == data


@event_stream
async def models(request):
    yield Price(x=1)
    yield "point", {"points": [Point(1)]}


async def test_a_view_yields_models(visit):
    async with visit(models) as stream:
        assert await stream.body() == (
            b'data: {"x":1,"day":"2026-01-02"}\n\nevent: point\ndata: {"points":[{"x":1,"day":"2026-01-02"}]}\n\n'
        )


def upper(data):
    if isinstance(data, dict):
        return {key.upper(): upper(value) for key, value in data.items()}
    return [upper(value) for value in data] if isinstance(data, list | tuple) else data


class Upper(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        return super().render(upper(data), accepted_media_type, renderer_context)


class Dumping(BaseRenderer):
    media_type = "application/json"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return json.dumps(upper(data), default=str)


@pytest.mark.parametrize("renderer_class", [Upper, Dumping])
@pytest.mark.parametrize("value", [Price(x=1), Point(1), Struct(1)], ids=repr)
def test_a_renderer_with_its_own_render_method_receives_plain_data(renderer_class, value):
    to_json = json_encoder(renderer_class)
    assert json.loads(to_json({"a": [value]})) == {"A": [{"X": 1, "DAY": "2026-01-02"}]}


def test_a_renderer_with_its_own_render_method_receives_data_without_models_as_it_is():
    class Same(Dumping):
        def render(self, data, accepted_media_type=None, renderer_context=None):
            assert data is given
            return "1"

    given = {"a": [Named(1, DAY)]}
    assert json_encoder(Same)(given) == b"1"


class OwnEncoder(JSONEncoder):
    def default(self, o):
        return f"own {type(o).__name__}" if isinstance(o, Price | Point | Group) else super().default(o)


class OwnDjangoEncoder(DjangoJSONEncoder):
    def default(self, o):
        return f"own {type(o).__name__}" if isinstance(o, Price | Point | Group) else super().default(o)


@pytest.mark.parametrize("base", [JSONRenderer, Upper])
@pytest.mark.parametrize("encoder", [OwnEncoder, OwnDjangoEncoder])
def test_the_encoder_of_a_projects_renderer_decides_first(base, encoder):
    class Own(base):
        encoder_class = encoder

    key = "A" if base is Upper else "a"
    data = {"a": [Price(x=1), Point(1), Group(name="g")]}
    assert json.loads(json_encoder(Own)(data)) == {key: ["own Price", "own Point", "own Group"]}
    [struct] = json.loads(json_encoder(Own)({"a": [Struct(1)]}))[key]
    assert {name.lower(): value for name, value in struct.items()} == X


@dataclass
class Node:
    next: "Node | None" = None
    names: list[Any] = field(default_factory=list)


def node():
    node = Node()
    node.next = node
    return node


def tree():
    class Tree(pydantic.BaseModel):
        children: list["Tree"] = []

    tree = Tree()
    tree.children.append(tree)
    return tree


def struct():
    struct = Wide(None)
    struct.inner = struct
    return struct


def listed():
    listed = []
    listed.append(listed)
    return listed


@pytest.mark.parametrize("make", [node, tree, struct, listed])
@pytest.mark.parametrize("renderer_class", [JSONRenderer, Upper])
def test_a_model_that_contains_itself_is_refused(make, renderer_class):
    with pytest.raises(ValueError, match="data must be text or something the JSON renderer can encode, got") as caught:
        FrameEncoder(json_encoder(renderer_class))(make())
    assert "contains itself" in str(caught.value) or "Circular reference" in str(caught.value)


MODEL = "data must be text, JSON, or a model that stands for JSON, got an instance of the Django model Group. Pass "
QUERYSET = "data must be text, JSON, or a model that stands for JSON, got a queryset of the Django model Group. Pass "
EVENT = "data must be text, JSON, or a model that stands for JSON, got a ServerSentEvent inside the data. Yield "


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Group(name="g"), MODEL + "serializer.data."),
        (Group.objects.all(), QUERYSET + "serializer.data, or a list of values()."),
        (Group.objects.raw("SELECT 1"), QUERYSET + "serializer.data, or a list of values()."),
        ([ServerSentEvent("a")], EVENT + "the event itself, or pass its data."),
    ],
    ids=["model", "queryset", "raw", "event"],
)
def test_what_is_never_data_is_refused(value, message):
    for encode in (FrameEncoder(), LineEncoder(), lambda data: message_body(data, None)):
        for item in ({"a": [value]}, Line([value])):
            with pytest.raises(TypeError) as caught:
                encode(item)
            assert str(caught.value) == message


def test_a_django_model_in_a_struct_is_refused():
    with pytest.raises(TypeError, match="an instance of the Django model Group"):
        FrameEncoder()(Wide([Group(name="g")]))


def test_a_library_that_is_not_imported_is_not_needed(monkeypatch):
    for name in ("pydantic", "pydantic.main", "msgspec"):
        monkeypatch.delitem(sys.modules, name)

    @dataclass
    class Fresh:
        x: int

    assert FrameEncoder()(Fresh(1)) == b'data: {"x":1}\n\n'
    with pytest.raises(TypeError, match="is not JSON serializable"):
        FrameEncoder()(type("Plain", (), {})())
