"""The client's end of a stream: a bare socket that counts events."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

MARK = b"data: {"
"""Occurs once in each event, however its lines end."""

PATIENCE = 20
"""Seconds to wait for what should take none."""

PER_ADDRESS = 4000
"""Connections from one loopback address, so that its ports suffice."""


class Refused(Exception):
    """The server answered with something else than 200, or ended the stream early."""


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


def answers(port: int, path: str = "/hold/1") -> bool:
    """Tell whether a server streams."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        client.sendall(request(path))
        return client.recv(12).endswith(b"200")
    return False


class Stream(asyncio.Protocol):
    """Ask for a path and count the events that come, until a number of them has."""

    def __init__(self, path: str, goal: int, on_data: Callable[[bytes], object] | None = None) -> None:
        self.goal = goal
        self.events = 0
        self.last = 0.0
        self.begun = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._path = path
        self._on_data = on_data
        self._status = ""
        self._tail = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(request(self._path))

    def restart(self, goal: int) -> None:
        """Count from now on."""
        self.goal, self.events = goal, 0

    def data_received(self, data: bytes) -> None:
        self.last = time.perf_counter()
        if not self._status:
            self._check(data)
        self.events += (self._tail + data).count(MARK)
        self._tail = data[1 - len(MARK) :]
        if self._on_data is not None:
            self._on_data(data)
        self._tell()

    def _tell(self) -> None:
        if self.events and not self.begun.done():
            self.begun.set_result(None)
        if self.events >= self.goal and not self.done.done():
            self.done.set_result(None)

    def _check(self, data: bytes) -> None:
        self._status = data.partition(b"\r\n")[0].decode("latin-1")
        if " 200 " not in self._status:
            self._fail(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the stream ended after {self.events} of {self.goal} events")

    def _fail(self, reason: str) -> None:
        for future in (self.begun, self.done):
            if not future.done():
                future.set_exception(Refused(reason))
                future.exception()  # not every future is awaited


@asynccontextmanager
async def connected(
    port: int, path: str, goal: int = 1, *, number: int = 0, on_data: Callable[[bytes], object] | None = None
) -> AsyncIterator[Stream]:
    """Ask for a stream; on the way out, cut the connection."""
    stream = Stream(path, goal, on_data)
    local = (f"127.0.0.{1 + number // PER_ADDRESS}", 0) if number >= PER_ADDRESS else None
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: stream, "127.0.0.1", port, local_addr=local
    )
    try:
        yield stream
    finally:
        transport.abort()


@asynccontextmanager
async def opened(port: int, path: str, goal: int = 1, *, number: int = 0) -> AsyncIterator[Stream]:
    """Ask for a stream and wait for its first event."""
    async with connected(port, path, goal, number=number) as stream:
        async with asyncio.timeout(PATIENCE):
            await stream.begun
        yield stream
