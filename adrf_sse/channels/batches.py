"""Events that leave together: their bytes are joined once, for all who get them."""

from bisect import bisect_right
from functools import cached_property

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.streams.buffer import CHUNK_SIZE


class Batch:
    """Hold some events, in the order of their ids; never none."""

    def __init__(self, events: list[ChannelEvent]) -> None:
        self.events = events
        self.first = events[0].number
        self.last = events[-1].number
        self.size = len(events)
        """Events in it."""

    @cached_property
    def chunks(self) -> list[tuple[bytes, int]]:
        """The frames of all, in chunks as they may leave, each with the number of its events."""
        chunks: list[tuple[bytes, int]] = []
        frames: list[bytes] = []
        size = 0
        for event in self.events:
            if frames and size + len(event.frame) > CHUNK_SIZE:
                chunks.append((b"".join(frames), len(frames)))
                frames, size = [], 0
            frames.append(event.frame)
            size += len(event.frame)
        return [*chunks, (b"".join(frames), len(frames))]

    def after(self, number: int) -> "Batch | None":
        """Return the part that comes after an id."""
        if number < self.first:
            return self
        rest = self.events[bisect_right(self.events, number, key=lambda event: event.number) :]
        return Batch(rest) if rest else None
