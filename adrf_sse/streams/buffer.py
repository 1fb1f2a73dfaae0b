"""The frames between a source and the reader that sends them."""

import asyncio

CHUNK_SIZE = 64 * 1024
"""Bytes that are sent together at most, and that wait for a slow client at most."""


class FrameBuffer:
    """Hold up to ``CHUNK_SIZE`` bytes of frames, between one source that puts and one reader that takes.

    The reader takes all frames that are there as one chunk. A frame that is larger than ``CHUNK_SIZE`` is accepted
    while the buffer is empty.
    """

    __slots__ = ("_frames", "_ready", "_room", "_size", "ended", "events")

    def __init__(self) -> None:
        self.ended = False
        """Whether the source has ended, so that no more frames will be put."""
        self.events = 0
        """Events among the frames so far; the source counts them."""
        self._frames: list[bytes] = []
        self._size = 0
        self._ready: asyncio.Future[None] | None = None  # what the reader awaits
        self._room: asyncio.Future[None] | None = None  # what the source awaits

    def __bool__(self) -> bool:
        return bool(self._frames)

    # The source's side.

    def offer(self, frame: bytes) -> bool:
        """Put a frame if there is room for it, and return whether there was."""
        if self._frames and self._size + len(frame) > CHUNK_SIZE:
            return False
        self.put(frame)
        return True

    def put(self, frame: bytes, *, first: bool = False) -> None:
        """Add a frame at the end, or in front of the others, and wake the reader.

        An empty frame changes nothing: some wire formats have no form for some events.
        """
        if not frame:
            return
        self._frames.insert(0 if first else len(self._frames), frame)
        self._size += len(frame)
        if self._ready is not None:
            self.wake_reader()

    async def wait_for_room(self) -> None:
        """Wait until the reader has taken frames."""
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def end(self) -> None:
        """Tell the reader that no more frames will be put."""
        self.ended = True
        self.wake_reader()

    # The reader's side.

    @property
    def awaited(self) -> bool:
        """Whether the reader waits for frames."""
        return self._ready is not None and not self._ready.done()

    @property
    def is_idle(self) -> bool:
        """Whether the reader waits, or was woken and has not taken anything yet."""
        return self._ready is not None

    def wait_for_frames(self) -> "asyncio.Future[None]":
        """Return a future that ends when a frame is put, and when the source ends."""
        self._ready = asyncio.get_running_loop().create_future()
        return self._ready

    def wake_reader(self) -> None:
        """Let a waiting reader look again."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def take(self) -> bytes:
        """Return the frames as one chunk, or ``b""`` if there are none, and let the source continue.

        The chunk is larger than ``CHUNK_SIZE`` only if it is a single frame.
        """
        frames, self._ready = self._frames, None
        if self._size <= CHUNK_SIZE or len(frames) == 1:
            self._frames, self._size = [], 0
        else:
            frames = self._take_some()
        if self._room is not None:
            self.make_room()
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def clear(self) -> None:
        """Drop the frames, and let the source continue."""
        self._frames, self._size = [], 0
        if self._room is not None:
            self.make_room()

    def make_room(self) -> None:
        """Let a waiting source continue."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _take_some(self) -> list[bytes]:
        """Remove the frames that fit into a chunk; frames beyond the limit come from sources that were cancelled."""
        size = number = 0
        for frame in self._frames:
            size += len(frame)
            if number and size > CHUNK_SIZE:
                break
            number += 1
        frames, self._frames = self._frames[:number], self._frames[number:]
        self._size -= sum(map(len, frames))
        return frames
