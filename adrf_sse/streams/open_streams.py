"""The streams that are open in this process."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Protocol


class OpenStream(Protocol):
    """A source that runs for a client: a stream, or a list that is being collected."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that runs the source."""

    @property
    def view_name(self) -> str:
        """The name of the view's URL pattern."""

    def shut_down(self) -> None:
        """End the source because the server stops; called on its loop."""


class OpenStreams:
    """Hold each stream from its start to its end."""

    def __init__(self) -> None:
        self._streams: set[OpenStream] = set()
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[OpenStream]:
        return iter(tuple(self._streams))

    def by_view(self) -> Counter[str]:
        """Count the streams of each view, from any thread."""
        return Counter(stream.view_name for stream in self)

    def add(self, stream: OpenStream) -> None:
        """Add a stream that starts."""
        self._streams.add(stream)
        self._empty.clear()

    def discard(self, stream: OpenStream) -> None:
        """Remove a stream that has ended."""
        self._streams.discard(stream)
        if not self._streams:
            self._empty.set()

    async def wait_until_empty(self) -> None:
        """Wait until no stream is open."""
        if self._streams:
            await self._empty.wait()


open_streams = OpenStreams()
