"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of events and streams."""

    one_stream: int = 200_000
    """Events of a lone stream."""
    streams: int = 50
    """Streams at the same time."""
    events_each: int = 8_000
    """Events of each of them."""
    seconds: float = 3
    """A flood is stopped after that long; its rate is what came by then."""
    first_events: int = 50
    """Fresh connections."""
    lone_events: int = 300
    """Events one by one."""
    idle: int = 2_000
    """Idle streams."""
    crowd: int = 10_000
    """Idle streams of the contenders that take part in the crowd."""


FULL = Sizes()
QUICK = Sizes(one_stream=20_000, events_each=400, seconds=2, first_events=10, lone_events=50, idle=200, crowd=1_000)
