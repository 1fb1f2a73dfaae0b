"""A place in some channels' events: behind, where history is read page by page, or live."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from adrf_sse.brokers.messages import ChannelEvent, Page, message_body
from adrf_sse.channels.batches import Batch
from adrf_sse.events import RESET_EVENT
from adrf_sse.settings import sse_settings

Read = Callable[[frozenset[str], int | None], Awaitable[tuple[Page, bool]]]
"""Reads a page after an id; the second part says whether all that is published since is received."""


class Cursor(ABC):
    """Join what was missed to what comes, with nothing lost or repeated at the seam.

    While a page of history is read, what comes is held. Where the page turns out to be the last one, what was held
    and is not in it follows; where there is more to read, what was held will be in a later page.
    """

    __slots__ = ("_held", "_since", "channels", "live", "position")

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.position: int | None = None
        """The id of the last event that was handed on, or that is known to need none."""
        self.live = False
        """What comes is handed on as it comes."""
        self._held: list[ChannelEvent] | None = None

    @abstractmethod
    def hand_on(self, batch: Batch) -> None:
        """Give some events to those who wait for them."""

    async def advance(self, read: Read) -> None:
        """Read one page, hand it on, and be live if it was the last."""
        held: list[ChannelEvent] = []
        self._held = held
        try:
            page, seamless = await read(self.channels, self.position)
        finally:
            self._held = None
        if page.missed:
            self.reset(page, self.position)
        if page.events:
            self._pass(Batch(page.events))
        if not page.complete:
            return
        self.position = page.position
        if seamless and len(held) <= sse_settings.MAX_SUBSCRIBER_BACKLOG:
            self.live = True
            if held:
                self._pass(Batch(held))

    def receive(self, batch: Batch) -> None:
        """Take what comes."""
        if self.live:
            self._pass(batch)
        elif self._held is not None and len(self._held) <= sse_settings.MAX_SUBSCRIBER_BACKLOG:
            self._held += batch.events

    def _pass(self, batch: Batch) -> None:
        if self.position is not None and self.position >= batch.first and not batch.resets:
            rest = batch.after(self.position)
            if rest is None:
                return
            batch = rest
        self.position = batch.last
        self.hand_on(batch)

    def reset(self, page: Page, last_event_id: str | int | None) -> None:
        """Tell that events are lost; who comes back with the id of this has what follows still before it."""
        number = page.events[0].number - 1 if page.events else page.position
        body = message_body({"last_event_id": last_event_id}, RESET_EVENT)
        self._pass(Batch([ChannelEvent("", number, body)], resets=True))
