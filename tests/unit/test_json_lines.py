import datetime
import json

import pytest
from rest_framework.renderers import JSONRenderer

from adrf_sse import ServerSentEvent
from adrf_sse.events.json_encoders import json_encoder
from adrf_sse.events.json_lines import LineEncoder

# The yielded item, its line, and the line with only its data.
LINES = [
    ({"eur": 1}, b'{"data":{"eur":1}}', b'{"eur":1}'),
    ({"data": 1, "event": "x"}, b'{"data":{"data":1,"event":"x"}}', b'{"data":1,"event":"x"}'),
    ([1, "a", None], b'{"data":[1,"a",null]}', b'[1,"a",null]'),
    ("text", b'{"data":"text"}', b'"text"'),
    ("", b'{"data":""}', b'""'),
    ("two\nlines\r\n", b'{"data":"two\\nlines\\r\\n"}', b'"two\\nlines\\r\\n"'),
    ('{"eur":1}', b'{"data":"{\\"eur\\":1}"}', b'"{\\"eur\\":1}"'),
    (None, b'{"data":null}', b"null"),
    (5, b'{"data":5}', b"5"),
    (True, b'{"data":true}', b"true"),
    (datetime.date(2026, 1, 2), b'{"data":"2026-01-02"}', b'"2026-01-02"'),
    (("price", {"eur": 1}), b'{"event":"price","data":{"eur":1}}', b'{"eur":1}'),
    (("price", 1, 7), b'{"event":"price","id":"7","data":1}', b"1"),
    (("price", None, None), b'{"event":"price","data":null}', b"null"),
    (('"\\é', "☃", '"\\é'), '{"event":"\\"\\\\é","id":"\\"\\\\é","data":"☃"}'.encode(), '"☃"'.encode()),
    (ServerSentEvent({"eur": 1}, event="price", id=7, retry=5, comment="c"),
     b'{"event":"price","id":"7","data":{"eur":1}}', b'{"eur":1}'),
    (ServerSentEvent("text", id=""), b'{"id":"","data":"text"}', b'"text"'),
    (ServerSentEvent(event="ping"), b'{"event":"ping","data":null}', b"null"),
    (b'id: 1\nevent: price\ndata: {"eur":1}\n\n', b'{"event":"price","id":"1","data":"{\\"eur\\":1}"}',
     b'"{\\"eur\\":1}"'),
    (b": comment\nevent: a\0b\ndata: x\ndata: y\n\n", b'{"event":"a\\u0000b","data":"x\\ny"}', b'"x\\ny"'),
]  # fmt: skip


@pytest.mark.parametrize(("item", "line", "bare"), LINES, ids=[repr(item) for item, _, _ in LINES])
def test_an_item_of_a_source_encodes_to_this_line(item, line, bare):
    assert LineEncoder()(item) == line + b"\n"
    assert LineEncoder(envelope=False)(item) == bare + b"\n"


@pytest.mark.parametrize(
    "item",
    [
        ServerSentEvent(retry=1),
        ServerSentEvent(comment="c"),
        ServerSentEvent(id="adrf-sse-end"),
        b"",
        b":\n",
        b"retry: 1\n\n",
        b"id: 1\n\n",
        b"event: fires nothing\n\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("envelope", [True, False])
def test_an_event_that_a_browser_would_not_dispatch_is_not_sent(item, envelope):
    assert LineEncoder(envelope=envelope)(item) == b""


def test_encoded_frames_can_be_joined():
    encode = LineEncoder()
    assert encode(b"data: a\n\nid: 5\ndata: b\n\n: c\n") == b'{"data":"a"}\n{"id":"5","data":"b"}\n'
    assert encode("between") == b'{"data":"between"}\n'


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ((1, 2), TypeError, r"a tuple must be \(event, data\)"),
        (("",), TypeError, r"a tuple must be \(event, data\)"),
        (b"data: a\n\ndata: b", ValueError, "bytes must be complete frames"),
        (("", 1), ValueError, "event must be a non-empty str"),
        (("a\nb", 1), ValueError, "event must be a single line"),
        (("a", 1, True), TypeError, "id must be a str or an int"),
        (("a", 1, "b\n"), ValueError, "id must be a single line"),
        ("\ud800", ValueError, "data must be text that UTF-8 can encode"),
        (["\ud800"], ValueError, "data must be text or something the JSON renderer can encode"),
        (object(), TypeError, "data must be text or something the JSON renderer can encode"),
        (float("nan"), ValueError, "data must be text or something the JSON renderer can encode"),
    ],
)
@pytest.mark.parametrize("envelope", [True, False])
def test_an_invalid_item_is_refused_as_in_an_event_stream(item, error, message, envelope):
    with pytest.raises(error, match=message):
        LineEncoder(envelope=envelope)(item)


def test_a_line_contains_no_character_that_readers_may_split_at():
    text = "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0x2028, 0x2029, 0xE9]))
    line = LineEncoder()((text[-1], [text, {text: text}], text[-1]))
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"event": "é", "id": "é", "data": [text, {text: text}]}


class Indented(JSONRenderer):
    def get_indent(self, accepted_media_type, renderer_context):
        return 2


def test_json_with_line_breaks_is_joined_into_one_line():
    line = LineEncoder(json_encoder(Indented))({"a": ["b\n"]})
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"data": {"a": ["b\n"]}}
