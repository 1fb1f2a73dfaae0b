"""Events, parsers and JSON Lines."""

from datetime import timedelta
from typing import Any, assert_type

import adrf_sse
from adrf_sse.events import END_ID, ServerSentEvent
from adrf_sse.testing import EventParser

assert_type(adrf_sse.__version__, str)
assert_type(END_ID, str)

EVENTS = [
    ServerSentEvent("text"),
    ServerSentEvent({"eur": 1}, event="price", id="7"),
    ServerSentEvent([1, 2], id=7, retry=3000),
    adrf_sse.ServerSentEvent(retry=timedelta(seconds=3)),
    ServerSentEvent(comment="two\nlines"),
]


def parse(body: bytes) -> list[str]:
    parser = EventParser()
    received = parser.feed(body)
    assert_type(received, list[ServerSentEvent])
    assert_type(parser.last_event_id, str | None)
    assert_type(parser.retry, int | None)
    return [event.event or "message" for event in received if event.id != END_ID]


def fields(event: ServerSentEvent) -> bytes:
    assert_type(event.data, Any)
    assert_type(event.event, str | None)
    assert_type(event.id, str | None)
    assert_type(event.retry, int | None)
    assert_type(event.comment, str | None)
    assert_type(event.dispatches, bool)
    return event.with_data({"eur": 2}).encode()
