"""The ledger: what was published, what each follower received, and what is wrong about it."""

from collections import Counter
from dataclasses import dataclass, field

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.events.parsers import EventParser

PROBLEMS = ("lost", "repeated", "out of order", "refused")


@dataclass(slots=True)
class Page:
    """Hold what one follower received of its channels, over all of its connections."""

    channels: frozenset[str]
    first_id: int | None = None
    """Where the follower began."""
    last_id: int = 0
    """Where it is: it has been sent everything up to this ID."""
    ids: set[int] = field(default_factory=set)
    announced: list[tuple[int, int]] = field(default_factory=list)
    """IDs between which a ``reset`` announced that events may be missing."""

    def move(self, id: int) -> None:
        """Note an ID that the stream has set."""
        if self.first_id is None:
            self.first_id = id
        self.last_id = max(self.last_id, id)


class Ledger:
    """Compare what was published with what was received."""

    def __init__(self) -> None:
        self.published: dict[str, list[int]] = {}
        """IDs of the events whose publisher got their ID, by channel."""
        self.pages: list[Page] = []
        self.counts: Counter[str] = Counter(dict.fromkeys(("published", "delivered", "resets", *PROBLEMS), 0))
        self.examples: list[str] = []

    def open(self, channels: frozenset[str]) -> Page:
        """Return the page of a new follower."""
        page = Page(channels)
        self.pages.append(page)
        return page

    def publish(self, channel: str, id: int) -> None:
        """Note that an event was published."""
        self.counts["published"] += 1
        self.published.setdefault(channel, []).append(id)

    def deliver(self, page: Page, id: int) -> None:
        """Note that a follower received an event."""
        self.counts["delivered"] += 1
        if id in page.ids:
            self.problem("repeated", f"event {id} of {sorted(page.channels)}")
        elif id <= page.last_id and page.first_id is not None:
            self.problem("out of order", f"event {id} after {page.last_id} of {sorted(page.channels)}")
        if page.first_id is None:
            page.first_id = id - 1
        page.ids.add(id)
        page.move(id)

    def receive(self, page: Page, parser: EventParser, chunk: bytes) -> list[ServerSentEvent]:
        """Note what a follower received with a part of a stream, and return the events."""
        events = parser.feed(chunk)
        for event in events:
            if event.event == "reset":
                self.reset(page, int(event.id or 0))
            elif event.event is None:
                self.deliver(page, int(event.id or 0))
        if parser.last_event_id:
            page.move(int(parser.last_event_id))
        return events

    def reset(self, page: Page, id: int) -> None:
        """Note that events up to an ID may be missing."""
        self.counts["resets"] += 1
        page.announced.append((page.last_id, id))
        page.move(id)

    def problem(self, what: str, text: str) -> None:
        """Count a problem."""
        self.counts[what] += 1
        if len(self.examples) < 10:
            self.examples.append(f"{what}: {text}")

    def last_ids(self) -> dict[str, int]:
        """Return the last ID of each channel."""
        return {channel: max(ids) for channel, ids in self.published.items()}

    def close(self) -> None:
        """Count what was lost."""
        for page in self.pages:
            for channel in page.channels if page.first_id is not None else ():
                for id in self.published.get(channel, ()):
                    if self._is_lost(page, id):
                        self.problem("lost", f"event {id} of {channel}, between {page.first_id} and {page.last_id}")

    def _is_lost(self, page: Page, id: int) -> bool:
        if id in page.ids or not (page.first_id or 0) < id <= page.last_id:
            return False
        return not any(start < id <= end for start, end in page.announced)
