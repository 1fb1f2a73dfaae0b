"""Events that leave together: their bytes are joined once, for all who get them."""

from bisect import bisect_right
from functools import cached_property

from adrf_sse.brokers.messages import ChannelEvent


class Batch:
    """Hold some events of a feed, in the order of their ids; never none."""

    def __init__(self, events: list[ChannelEvent], *, resets: bool = False) -> None:
        self.events = events
        self.resets = resets
        """It says that events are lost, and sets where its readers are, also backwards."""
        self.first = events[0].number
        self.last = events[-1].number
        self.size = len(events)
        """Events in it."""

    @cached_property
    def chunk(self) -> bytes:
        """The frames of all."""
        return b"".join([event.frame for event in self.events])

    def after(self, number: int) -> "Batch | None":
        """Return the part that comes after an id."""
        if number < self.first:
            return self
        rest = self.events[bisect_right(self.events, number, key=lambda event: event.number) :]
        return Batch(rest) if rest else None
