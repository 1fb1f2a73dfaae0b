"""How much is fanned out."""

from dataclasses import dataclass

IDLE = 0.003
"""Seconds between lone events, so that the server has nothing left to do for the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutSizes:
    """Hold the numbers of subscribers and events."""

    many: tuple[int, int] = (1_000, 200)
    """Subscribers, and events for each of them."""
    crowd: tuple[int, int] = (5_000, 20)
    """The same, with more subscribers and fewer events."""
    lone_events: int = 300
    """Events one by one, to a lone subscriber."""


FANOUT_FULL = FanoutSizes()
FANOUT_QUICK = FanoutSizes(many=(100, 50), crowd=(300, 10), lone_events=30)
