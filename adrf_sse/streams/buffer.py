"""The frames between a source and its reader."""

import asyncio

CHUNK_SIZE = 64 * 1024
"""Bytes that leave together, and all that waits for a slow client."""


class FrameBuffer:
    """Hold up to ``CHUNK_SIZE`` bytes of frames, for one source that puts and one reader that takes.

    What is put before the reader comes is taken together. A frame that is larger goes in alone.
    """

    __slots__ = ("_frames", "_ready", "_room", "_size")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self._ready: asyncio.Future[None] | None = None  # the reader waits for frames
        self._room: asyncio.Future[None] | None = None  # the source waits for the reader

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def awaited(self) -> bool:
        """Whether the reader waits for frames."""
        return self._ready is not None and not self._ready.done()

    def fits(self, frame: bytes) -> bool:
        """Tell whether a frame may go in now."""
        return self._size + len(frame) <= CHUNK_SIZE or not self._frames

    def put(self, frame: bytes) -> None:
        """Add a frame, and wake the reader; nothing, which some formats have for some events, changes nothing."""
        if not frame:
            return
        self._frames.append(frame)
        self._size += len(frame)
        self.wake_reader()

    def put_first(self, frame: bytes) -> None:
        """Add a frame that leaves before all others."""
        if not frame:
            return
        self._frames.insert(0, frame)
        self._size += len(frame)

    async def wait_for_room(self) -> None:
        """Wait until the reader has taken what is there."""
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def frames(self) -> "asyncio.Future[None]":
        """Return what the reader awaits: that something is put, or that it is woken for the end."""
        self._ready = asyncio.get_running_loop().create_future()
        return self._ready

    def wake_reader(self) -> None:
        """Let a waiting reader look again."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def take(self) -> bytes:
        """Return what is there as one chunk, up to ``CHUNK_SIZE`` where it is several frames; let the source go on."""
        frames = self._frames
        if self._size <= CHUNK_SIZE or len(frames) == 1:
            self.clear()
        else:
            frames = self._take_some()
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _take_some(self) -> list[bytes]:
        size = number = 0
        for frame in self._frames:
            size += len(frame)
            if number and size > CHUNK_SIZE:
                break
            number += 1
        frames, self._frames = self._frames[:number], self._frames[number:]
        self._size -= sum(map(len, frames))
        return frames

    def clear(self) -> None:
        """Drop what is there, and let the source go on."""
        self._frames, self._size = [], 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


class CountingBuffer(FrameBuffer):
    """Hold any number of bytes that are shared with other streams, and know how many events they are."""

    __slots__ = ("_counts", "events")

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        """Events that the reader has not taken yet."""
        self._counts: list[int] = []  # of the events in each of the frames

    def put_events(self, frames: bytes, events: int) -> None:
        """Add the frames of some events, as one."""
        self.put(frames)
        self._counts[-1] = events
        self.events += events

    def put(self, frame: bytes) -> None:
        """Add a frame that is no event."""
        if frame:
            self._counts.append(0)
        super().put(frame)

    def put_first(self, frame: bytes) -> None:
        """Add a frame that is no event, and leaves before all others."""
        if frame:
            self._counts.insert(0, 0)
        super().put_first(frame)

    def _take_some(self) -> list[bytes]:
        frames = super()._take_some()
        self.events -= sum(self._counts[: len(frames)])
        del self._counts[: len(frames)]
        return frames

    def clear(self) -> None:
        """Drop what is there."""
        super().clear()
        self._counts, self.events = [], 0
