import pytest

from adrf_sse import ServerSentEvent
from adrf_sse.testing import EventParser


def event(data, *, event=None, id=None):
    return ServerSentEvent.received(data, event=event, id=id)


# The examples of the specification (WHATWG HTML, section 9.2.6) and further edge cases.
STREAMS = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [event("YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [event("first event", id="1"), event("second event"), event(" third event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [event(""), event("\n")]),
    (b"data:test\n\ndata: test\n\n", [event("test"), event("test")]),
    ("\ufeffdata: a\n\n".encode(), [event("a")]),
    ("\ufeff\ufeffdata: a\n\ndata: b\n\n".encode(), [event("b")]),
    ("data: a\ufeff\n\n\ufeffdata: b\n\n".encode(), [event("a\ufeff")]),
    (b"data: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n", [event("a\nb"), event("c"), event("d")]),
    (b"event: e\ndata: a\n\ndata: b\n\n", [event("a", event="e"), event("b")]),
    (b"event: e\n\ndata: b\n\n", [event("b")]),
    (b"id: 1\0\ndata: a\n\n", [event("a")]),
    (b"id: 1\n\nid: 2\0\ndata: a\n\n", [event("a", id="1")]),
    (b"id: 1\ndata: a\n\ndata: b\n\n", [event("a", id="1"), event("b", id="1")]),
    (b"event: a\0b\ndata: x\0\n\n", [event("x\0", event="a\0b")]),
    (b"data: a\nDATA: b\ndatax: c\n data: d\n\n", [event("a")]),
    (b"data: a: b\n\n", [event("a: b")]),
    (b":\n:\ndata: a\n:\n\n", [event("a")]),
    (b"data: a", []),
    (b"data: a\n", []),
    (b"data: \xff\n\n", [event("\ufffd")]),
    ("data: a\u2028b\x85c\n\n".encode(), [event("a\u2028b\x85c")]),
]


@pytest.mark.parametrize(("stream", "events"), STREAMS, ids=[repr(stream) for stream, _ in STREAMS])
def test_the_parser_follows_the_specification_with_any_chunk_size(stream, events):
    assert EventParser().feed(stream) == events
    parser = EventParser()
    assert [event for byte in stream for event in parser.feed(bytes([byte]))] == events


@pytest.mark.parametrize(
    ("stream", "retry"),
    [
        (b"retry: 100\n", 100),
        (b"retry: 0\n", 0),
        (b"retry: 1x\n", None),
        (b"retry: -1\n", None),
        (b"retry:\n", None),
        ("retry: ٣\n".encode(), None),
        (b"retry: 100\nretry: ten\n", 100),
    ],
)
def test_retry_must_be_digits_and_needs_no_empty_line(stream, retry):
    parser = EventParser()
    parser.feed(stream)
    assert parser.retry == retry


def test_an_empty_line_sets_the_last_event_id_even_without_data():
    parser = EventParser()
    parser.feed(b"id: 7\n")
    assert parser.last_event_id is None
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "7"
    parser.feed(b"id\n\n")
    assert parser.last_event_id is None
