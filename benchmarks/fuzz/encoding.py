"""Encoders: what a source yields arrives as it was, whatever is yielded around it."""

import json
from random import Random
from typing import Any

from adrf_sse import ServerSentEvent
from adrf_sse.events.frames import FrameEncoder
from adrf_sse.events.json_lines import LineEncoder
from benchmarks.fuzz.kinds import Kind, expect
from benchmarks.fuzz.reference import interpret, json_lines
from benchmarks.fuzz.values import any_text, json_value, some_bytes, surprise, text

REFUSALS = (TypeError, ValueError)
MARK = b"data: the end\n\n"
MARKED = ("message", "the end")


def make_items(random: Random) -> list[Any]:
    """Return what a source may yield."""
    return [make_item(random) for _ in range(random.randrange(1, 4))]


def make_item(random: Random) -> Any:
    """Return one item."""
    kind = random.randrange(6)
    if kind == 0:
        return text(random)
    if kind == 1:
        return json_value(random)
    if kind == 2:
        return tuple(
            [random.choice(["a", "price", any_text(random)]), json_value(random), any_text(random)][
                : random.randint(2, 3)
            ]
        )
    if kind == 3:
        return some_bytes(random) + random.choice([b"", b"\n\n"])
    if kind == 4:
        return surprise(random)
    return make_fields(random)


def make_fields(random: Random) -> dict[str, Any]:
    """Return arguments of an event, most of them valid."""
    makers = {
        "data": lambda: json_value(random),
        "event": lambda: any_text(random),
        "id": lambda: random.choice([any_text(random), random.randint(-5, 10**20)]),
        "retry": lambda: random.randint(-1, 10**6),
        "comment": lambda: any_text(random),
    }
    chosen = random.sample(sorted(makers), random.randint(1, 5))
    return {name: surprise(random) if random.random() < 0.1 else makers[name]() for name in chosen}


def expected_data(data: Any) -> Any:
    """Return text with the line ends that arrive."""
    return data.replace("\r\n", "\n").replace("\r", "\n") if isinstance(data, str) else data


def same(sent: Any, received: str) -> bool:
    """Return whether data arrived."""
    if isinstance(sent, str):
        return received == expected_data(sent)
    return json.dumps(json.loads(received), sort_keys=True) == json.dumps(json.loads(json.dumps(sent)), sort_keys=True)


def check_event(given: dict[str, Any]) -> None:
    """Check that an event is refused with the name of a field, or arrives with all of its fields."""
    try:
        event = ServerSentEvent(**given)
        frame = event.encode()
    except REFUSALS as exc:
        expect(any(name in str(exc) for name in given) or "ServerSentEvent must have" in str(exc), "no field in", exc)
        return
    stream = interpret(frame + MARK)
    expect(stream.events[-1] == (*MARKED, event.id or ""), "an event runs into the next one:", stream)
    expect(stream.retry == event.retry, "the reconnection delay differs:", stream.retry)
    expect(len(stream.events) == 1 + event.dispatches, "another number of events:", stream)
    if event.dispatches:
        name, data, id = stream.events[0]
        expect((name, id) == (event.event or "message", event.id or ""), "the name or the id differs:", name, id)
        if event.data is None or is_json(event.data):
            expect(data == "" if event.data is None else same(event.data, data), "the data differs:", data)


def check_items(items: list[Any]) -> None:
    """Check that each item is refused, or arrives, and changes none of its neighbours."""
    encoder, body, count = FrameEncoder(), b"", 0
    for item in items:
        try:
            frame = encoder(item)
        except REFUSALS as exc:
            expect(str(exc), "a refusal says nothing")
            continue
        body += frame + MARK
        check_item(item, frame)
        count += 1
    marks = [event for event in interpret(body).events if event[:2] == MARKED]
    expect(len(marks) == count, "an item changes its neighbours:", body)


def check_item(item: Any, frame: bytes) -> None:
    """Check that an item is one event with its own name, data and id; bytes may be any number of events."""
    if isinstance(item, bytes):
        expect(frame == item, "bytes were changed:", frame)
        return
    events = interpret(frame).events
    expect(len(events) == 1, "an item is not one event:", frame)
    name, data, id = events[0]
    if isinstance(item, tuple):
        sent_id = str(item[2]) if len(item) == 3 and item[2] is not None else ""
        expect((name, id) == (item[0], sent_id), "the name or the id differs:", name, id)
        item = item[1]
    if is_json(item):
        expect(same(item, data), "the data differs:", data)


def is_json(value: Any) -> bool:
    """Return whether the standard library can encode a value, so that the result can be compared."""
    try:
        return json.loads(json.dumps(value)) == value
    except (*REFUSALS, RecursionError, OverflowError):
        return False


def check_lines(items: list[Any]) -> None:
    """Check that each item is refused, or is one line that holds its data; bytes may be any number of lines."""
    encoder = LineEncoder()
    for item in items:
        try:
            line = encoder(item)
        except REFUSALS as exc:
            expect(str(exc), "a refusal says nothing")
            continue
        check_values(item, json_lines(line))


def check_values(item: Any, values: list[Any]) -> None:
    """Check the values of an item's lines."""
    if isinstance(item, bytes):
        parsed = interpret(item).events
        expect([value["data"] for value in values] == [event[1] for event in parsed], "frames differ:", values)
        return
    expect(len(values) == 1, "an item is not one line:", values)
    if isinstance(item, tuple):
        expect(values[0].get("event") == item[0], "the name differs:", values)
        item = item[1]
    if is_json(item):
        expect(values[0]["data"] == item, "the data differs:", values)


KINDS = [
    Kind("event", 0.15, make_fields, check_event),
    Kind("frames", 0.15, make_items, check_items),
    Kind("lines", 0.1, make_items, check_lines),
]
