from collections import namedtuple
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import models
from rest_framework.renderers import JSONRenderer

from adrf_sse import ServerSentEvent
from adrf_sse.channels import subscribe
from adrf_sse.channels.channel import channel_names
from adrf_sse.events.frames import FrameEncoder

SURROGATE = "\ud800"

FRAMES = [
    (ServerSentEvent("hello"), b"data: hello\n\n"),
    (ServerSentEvent({"n": 1}), b'data: {"n":1}\n\n'),
    (ServerSentEvent([1, 2]), b"data: [1,2]\n\n"),
    (ServerSentEvent(0), b"data: 0\n\n"),
    (ServerSentEvent(False), b"data: false\n\n"),
    (ServerSentEvent(UUID(int=5)), b'data: "00000000-0000-0000-0000-000000000005"\n\n'),
    (ServerSentEvent(""), b"data:\n\n"),
    (ServerSentEvent("a\nb"), b"data: a\ndata: b\n\n"),
    (ServerSentEvent("a\r\nb\rc\n"), b"data: a\ndata: b\ndata: c\ndata:\n\n"),
    (ServerSentEvent("\n"), b"data:\ndata:\n\n"),
    (ServerSentEvent(" two  spaces"), b"data:  two  spaces\n\n"),
    (ServerSentEvent("a\u2028b\u2029c\x85d\x0be\x0cf"), "data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode()),
    (ServerSentEvent(["é\x85\u2028\u2029"]), 'data: ["é\\u0085\\u2028\\u2029"]\n\n'.encode()),
    (ServerSentEvent("née ☃"), "data: née ☃\n\n".encode()),
    (ServerSentEvent("née\n☃"), "data: née\ndata: ☃\n\n".encode()),
    (ServerSentEvent(event="ping"), b"event: ping\ndata:\n\n"),
    (ServerSentEvent("x", event="prix réel"), "event: prix réel\ndata: x\n\n".encode()),
    (ServerSentEvent(id="7"), b"id: 7\n"),
    (ServerSentEvent(id=7), b"id: 7\n"),
    (ServerSentEvent(id=""), b"id:\n"),
    (ServerSentEvent(retry=0), b"retry: 0\n"),
    (ServerSentEvent(retry=timedelta(seconds=1.5)), b"retry: 1500\n"),
    (ServerSentEvent(comment="a\nb"), b": a\n: b\n"),
    (ServerSentEvent(comment=""), b":\n"),
    (
        ServerSentEvent({"a": None}, event="e", id=3, retry=5, comment="c"),
        b': c\nretry: 5\nid: 3\nevent: e\ndata: {"a":null}\n\n',
    ),
]


@pytest.mark.parametrize(("event", "frame"), FRAMES, ids=[repr(frame) for _, frame in FRAMES])
def test_an_event_encodes_to_these_bytes(event, frame):
    assert event.encode() == frame


REFUSED = [
    ({}, ValueError, "ServerSentEvent must have at least one of data, event, id, retry and comment, got none. "
     "Pass one of them; to send a JSON null, yield None or pass data='null'."),
    ({"event": ""}, ValueError, "event must be a non-empty str, got ''. "
     "Pass a name, or omit it to use the default."),
    ({"event": 5}, TypeError, "event must be a non-empty str, got 5. Name the event with a string."),
    ({"event": "a\rb"}, ValueError, "event must be a single line, got a carriage return in 'a\\rb'. "
     "Remove it, or send the text as data."),
    ({"event": "a\nb"}, ValueError, "event must be a single line, got a line feed in 'a\\nb'. "
     "Remove it, or send the text as data."),
    ({"event": "a\0b"}, ValueError, "event must be a single line, got a NUL character in 'a\\x00b'. "
     "Remove it, or send the text as data."),
    ({"id": "a\nb"}, ValueError, "id must be a single line, got a line feed in 'a\\nb'. "
     "Remove it, or send the text as data."),
    ({"id": "a\rb"}, ValueError, "id must be a single line, got a carriage return in 'a\\rb'. "
     "Remove it, or send the text as data."),
    ({"id": "\0"}, ValueError, "id must be a single line, got a NUL character in '\\x00'. "
     "Remove it, or send the text as data."),
    ({"id": True}, TypeError, "id must be a str or an int, got True. Convert it with str()."),
    ({"id": 1.5}, TypeError, "id must be a str or an int, got 1.5. Convert it with str()."),
    ({"id": b"x"}, TypeError, "id must be a str or an int, got b'x'. Convert it with str()."),
    ({"retry": -1}, ValueError, "retry must be 0 ms or more, got -1. Use a delay that is not negative."),
    ({"retry": timedelta(seconds=-1)}, ValueError,
     "retry must be 0 ms or more, got -1000. Use a delay that is not negative."),
    ({"retry": True}, TypeError, "retry must be a whole number of milliseconds or a timedelta, got True. "
     "Use an int, such as 3000."),
    ({"retry": 1.5}, TypeError, "retry must be a whole number of milliseconds or a timedelta, got 1.5. "
     "Use an int, such as 3000."),
    ({"retry": "3000"}, TypeError, "retry must be a whole number of milliseconds or a timedelta, got '3000'. "
     "Use an int, such as 3000."),
    ({"comment": 3}, TypeError, "comment must be a str, got 3. Convert it with str()."),
    *[
        ({field: "ab" + SURROGATE}, ValueError,
         f"{field} must be text that UTF-8 can encode, got a lone surrogate at index 2. "
         "Decode the text correctly, or replace it with value.encode('utf-8', 'replace').decode().")
        for field in ("data", "event", "id", "comment")
    ],
]  # fmt: skip


@pytest.mark.parametrize(("fields", "error", "message"), REFUSED)
def test_an_invalid_field_is_refused_when_the_event_is_created(fields, error, message):
    with pytest.raises(error) as caught:
        ServerSentEvent(**fields)
    assert str(caught.value) == message


def test_an_event_can_not_be_changed():
    event = ServerSentEvent("x")
    with pytest.raises(FrozenInstanceError):
        event.data = "y"
    assert replace(event, id=5) == ServerSentEvent("x", id=5)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (object, TypeError, "data must be text or something the JSON renderer can encode, got <class 'object'>: "
         "Object of type type is not JSON serializable. Serialize it first, or yield a str."),
        (float("nan"), ValueError, "data must be text or something the JSON renderer can encode, got nan: "
         "Out of range float values are not JSON compliant: nan. Serialize it first, or yield a str."),
        ([SURROGATE], ValueError, "data must be text or something the JSON renderer can encode, got ['\\ud800']: "
         "'utf-8' codec can't encode character '\\ud800' in position 2: surrogates not allowed. "
         "Serialize it first, or yield a str."),
    ],
)  # fmt: skip
def test_data_that_is_not_json_is_refused_when_it_is_encoded(data, error, message):
    event = ServerSentEvent(data)
    with pytest.raises(error) as caught:
        event.encode()
    assert str(caught.value).replace("compliant. ", "compliant: nan. ") in (message, message.replace(": nan. S", ". S"))


class Colour(models.TextChoices):
    RED = "red", "Rouge"


ITEMS = [
    ("text", b"data: text\n\n"),
    ("a\nb", b"data: a\ndata: b\n\n"),
    ({"event": "x", "data": "y"}, b'data: {"event":"x","data":"y"}\n\n'),
    (["a", 1], b'data: ["a",1]\n\n'),
    (3, b"data: 3\n\n"),
    (None, b"data: null\n\n"),
    (True, b"data: true\n\n"),
    (("price", {"eur": 3}), b'event: price\ndata: {"eur":3}\n\n'),
    (("price", "3"), b"event: price\ndata: 3\n\n"),
    (("price", None), b"event: price\ndata: null\n\n"),
    (("price", 3, 9), b"id: 9\nevent: price\ndata: 3\n\n"),
    (("price", 3, "a-9"), b"id: a-9\nevent: price\ndata: 3\n\n"),
    (("price", 3, ""), b"id:\nevent: price\ndata: 3\n\n"),
    (("price", 3, None), b"event: price\ndata: 3\n\n"),
    ((Colour.RED, Colour.RED), b"event: red\ndata: red\n\n"),
    (namedtuple("Named", "event data")("n", 1), b"event: n\ndata: 1\n\n"),
    *[
        (frames, frames)
        for frames in (
            b"",
            b"data: raw\n\n",
            b"data: raw\r\n\r\n",
            b"data: raw\r\r",
            b"data\n\n",
            b"id: 1\nevent: a\ndata: b\n\ndata: c\n\n",
            b"\n\n",
            b": comment\n",
            b":\n",
            b"retry: 5\n",
            b"retry: 5\r\n",
            b": a\nretry:5\n:\n",
            b"data: raw\n\nretry: 5\n:\n",
        )
    ],
    (ServerSentEvent("x", id=1), b"id: 1\ndata: x\n\n"),
]


@pytest.mark.parametrize(("item", "frame"), ITEMS, ids=[repr(item) for item, _ in ITEMS])
def test_an_item_of_a_source_encodes_to_these_bytes(item, frame):
    assert FrameEncoder()(item) == frame


TUPLE = "a tuple must be (event, data) or (event, data, id) with a str as event, got {}. Yield a list for a JSON array."
BYTES = (
    "bytes must be complete frames, which begin with a field such as data: and end in an empty line, got {}. "
    "Yield a str for text, a dict or a list for JSON, or the whole frame."
)
REFUSED_ITEMS = [
    *[
        (item, ValueError, BYTES.format(repr(item)))
        for item in (
            b"hello",
            b'{"a":1}',
            b'{"a":1}\n\n',
            b"hello\n\n",
            b"data: 1",
            b"data: 1\n",
            b"data: 1\r\n",
            b"data: 1\n\ndata: 2\n",
            b": comment",
            b"retry: 5",
            b"retry: x\n",
            b"id: 1\nevent: a\n",
            b"dataset\n\n",
        )
    ],
    ((), TypeError, TUPLE.format("()")),
    (("a",), TypeError, TUPLE.format("('a',)")),
    ((1, 2), TypeError, TUPLE.format("(1, 2)")),
    ((None, "x"), TypeError, TUPLE.format("(None, 'x')")),
    (("a", 1, 2, 3), TypeError, TUPLE.format("('a', 1, 2, 3)")),
    (("", 1), ValueError, "event must be a non-empty str, got ''. "
     "Pass a name, or omit it to use the default."),
    (("a\nb", 1), ValueError, "event must be a single line, got a line feed in 'a\\nb'. "
     "Remove it, or send the text as data."),
    (("a", 1, 2.5), TypeError, "id must be a str or an int, got 2.5. Convert it with str()."),
    (("a", 1, True), TypeError, "id must be a str or an int, got True. Convert it with str()."),
    (("a", 1, "x\ny"), ValueError, "id must be a single line, got a line feed in 'x\\ny'. "
     "Remove it, or send the text as data."),
    (SURROGATE, ValueError, "data must be text that UTF-8 can encode, got a lone surrogate at index 0. "
     "Decode the text correctly, or replace it with value.encode('utf-8', 'replace').decode()."),
]  # fmt: skip


@pytest.mark.parametrize(("item", "error", "message"), REFUSED_ITEMS, ids=[repr(row[0]) for row in REFUSED_ITEMS])
def test_an_invalid_item_is_refused(item, error, message):
    with pytest.raises(error) as caught:
        FrameEncoder()(item)
    assert str(caught.value) == message


class Indented(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        return super().render(data, "application/json; indent=2", renderer_context)


def test_json_with_several_lines_is_split_into_data_lines():
    from adrf_sse.events.json_encoders import json_encoder

    frame = FrameEncoder(json_encoder(Indented))({"a": 1})
    assert frame == b'data: {\ndata:   "a": 1\ndata: }\n\n'


@pytest.mark.parametrize("field", ["id", "retry"])
def test_a_number_that_python_does_not_print_is_an_error_that_names_the_field(field):
    with pytest.raises(ValueError, match=f"^{field} must be "):
        ServerSentEvent(**{field: 10**5000})


@pytest.mark.parametrize(
    "make",
    [
        lambda number: ServerSentEvent(comment=number),
        lambda number: ServerSentEvent(event=[number]),
        lambda number: ServerSentEvent({"n": number}).encode(),
        lambda number: FrameEncoder()((number, 1)),
        lambda number: channel_names(number),
        lambda number: channel_names([[number]]),
        lambda number: subscribe("a", last_event_id=[number]),
    ],
)
def test_a_number_that_python_does_not_print_is_refused_with_a_message_that_says_what_to_do(make):
    with pytest.raises((TypeError, ValueError), match=r"must be .*got .*\. \w+") as caught:
        make(10**5000)
    assert len(str(caught.value)) < 400
