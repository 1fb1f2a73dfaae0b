"""Property tests: independent parsers, fed with random chunks, decode every event to what was encoded."""

import json
from itertools import pairwise

import httpx
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st
from sseclient import SSEClient

from adrf_sse import ServerSentEvent
from adrf_sse.testing import EventParser

texts = st.text(st.characters(exclude_categories=["Cs"]))
line_texts = st.text(st.sampled_from("ab\r\n :\0\u2028\x85\x0b\ufeff")) | texts
single_lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "data": line_texts | json_values.filter(lambda value: value is not None),
        "event": single_lines.filter(bool),
        "id": single_lines | st.integers(),
        "retry": st.integers(min_value=0, max_value=10**9),
        "comment": line_texts,
    },
).filter(bool)
streams = st.lists(fields.map(lambda given: ServerSentEvent(**given)), min_size=1, max_size=5)


def wire_data(event):
    """Return the data that a client receives: text with LF as line ends, or JSON."""
    if event.data is None:
        return ""
    if isinstance(event.data, str):
        return event.data.replace("\r\n", "\n").replace("\r", "\n")
    return json.dumps(event.data, ensure_ascii=False, separators=(",", ":")).translate(
        {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
    )


def dispatched(events):
    """Yield the events that a browser dispatches, each with the current last event id."""
    last_id = ""
    for event in events:
        last_id = last_id if event.id is None else event.id
        if event.data is not None or event.event is not None:
            yield event.event, wire_data(event), last_id, event.retry


@st.composite
def events_in_chunks(draw):
    events = draw(streams)
    body = b"".join(event.encode() for event in events)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=10)))
    bounds = [0, *cuts, len(body)]
    return events, [body[a:b] for a, b in pairwise(bounds) if a != b]


@given(events_in_chunks())
def test_the_packages_parser_decodes_every_event(sent):
    events, chunks = sent
    parser = EventParser()
    got = [event for chunk in chunks for event in parser.feed(chunk)]
    expected = list(dispatched(events))
    assert [(event.event, event.data, event.id or "") for event in got] == [row[:3] for row in expected]
    retries = [event.retry for event in events if event.retry is not None]
    assert parser.retry == (retries[-1] if retries else None)


def received_by_a_library(events):
    """Yield the events that a client library receives, each with the ID and the delay of the lines before it."""
    id = retry = None
    for event in events:
        id = id if event.id is None else event.id
        retry = retry if event.retry is None else event.retry
        if event.dispatches:
            yield event.event or "message", wire_data(event), id, retry
            id = retry = None


def as_httpx_sse_dispatches(events):
    """Difference of httpx-sse: an ID applies to the events after it, too."""
    last_id = ""
    for name, data, id, retry in received_by_a_library(events):
        last_id = last_id if id is None else id
        yield name, data, last_id, retry


@given(events_in_chunks())
def test_httpx_sse_decodes_every_event(sent):
    events, chunks = sent
    headers = {"Content-Type": "text/event-stream"}
    received = list(EventSource(httpx.Response(200, headers=headers, content=iter(chunks))).iter_sse())
    assert [(e.event, e.data, e.id, e.retry) for e in received] == list(as_httpx_sse_dispatches(events))


@given(events_in_chunks())
def test_sseclient_py_decodes_every_event(sent):
    """Differences of sseclient-py: an id applies only to its own event, and retry stays a string."""
    events, chunks = sent
    received = list(SSEClient(iter(chunks)).events())
    expected = [
        (name, data, id, None if retry is None else str(retry))
        for name, data, id, retry in received_by_a_library(events)
    ]
    assert [(e.event, e.data, e.id, e.retry) for e in received] == expected
