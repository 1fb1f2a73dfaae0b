"""Parsers: any bytes, cut anywhere, compared with the reference."""

from random import Random

from adrf_sse.events.parsers import EventParser
from benchmarks.fuzz.kinds import Kind, expect
from benchmarks.fuzz.reference import interpret
from benchmarks.fuzz.values import some_bytes

Case = tuple[bytes, list[int]]
"""A stream, and the places at which it is cut."""


def make(random: Random) -> Case:
    """Return a stream of frames and nonsense."""
    body = b"\xef\xbb\xbf" if random.random() < 0.1 else b""
    for _ in range(random.randrange(1, 6)):
        body += some_bytes(random) + random.choice([b"", b"\n", b"\n\n", b"\r\n\r\n", b"\r\r"])
    return body, sorted(random.randrange(len(body) + 1) for _ in range(random.randrange(6)))


def check(case: Case) -> None:
    """Compare the parser, fed with chunks, to the reference."""
    body, cuts = case
    parser, events = EventParser(), []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        events += parser.feed(body[start:end])
    stream = interpret(body)
    got = [(event.event or "message", event.data, event.id or "") for event in events]
    expect(got == stream.events, "events differ:", got, stream.events)
    expect((parser.last_event_id or "") == stream.last_event_id, "ids differ:", parser.last_event_id, stream)
    expect(parser.retry == stream.retry, "reconnection delays differ:", parser.retry, stream.retry)


KINDS = [Kind("parser", 0.3, make, check)]
