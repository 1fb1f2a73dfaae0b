"""Streams of an event loop: bare sockets that count events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.clients.connections import OPENERS, local_address, request
from benchmarks.limits import PATIENCE
from benchmarks.servers import Server

MARK = b"data: {"
"""Occurs once in each event, whatever its line ends are."""


class Refused(Exception):
    """The server answered with a status other than 200, or ended the stream early."""


class Cut(Refused):
    """The connection ended early."""


class Stream(asyncio.Protocol):
    """Request a path, and count events until a number of them has come."""

    def __init__(
        self, path: str, goal: int, on_data: Callable[[bytes], object] | None = None, cookie: str = ""
    ) -> None:
        self.goal = goal
        self.events = 0
        self.last = 0.0
        self.begun = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._request = request(path, cookie=cookie)
        self._on_data = on_data
        self._status = ""
        self._tail = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(self._request)

    def restart(self, goal: int) -> None:
        """Start to count anew."""
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
            self._fail(Refused(self._status))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Cut(f"the stream ended after {self.events} of {self.goal} events"))

    def _fail(self, exc: Refused) -> None:
        for future in (self.begun, self.done):
            if not future.done():
                future.set_exception(exc)
                future.exception()  # not every future is awaited


@asynccontextmanager
async def connected(
    server: Server,
    path: str,
    goal: int = 1,
    *,
    number: int = 0,
    on_data: Callable[[bytes], object] | None = None,
    cookie: str = "",
) -> AsyncIterator[Stream]:
    """Request a stream, and cut its connection at the end of the block."""
    stream = Stream(path, goal, on_data, cookie)
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: stream, "127.0.0.1", server.port, local_addr=local_address(number)
    )
    try:
        yield stream
    finally:
        transport.abort()


@asynccontextmanager
async def opened(
    server: Server, path: str, goal: int = 1, *, number: int = 0, cookie: str = ""
) -> AsyncIterator[Stream]:
    """Request a stream, and wait for its first event."""
    async with connected(server, path, goal, number=number, cookie=cookie) as stream:
        async with asyncio.timeout(PATIENCE):
            await stream.begun
        yield stream


@asynccontextmanager
async def many(
    server: Server, path: str, count: int, goal: int = 1, *, cookie: str = ""
) -> AsyncIterator[list[Stream]]:
    """Request streams, and wait for the first event of each."""
    gate = asyncio.Semaphore(OPENERS)
    async with AsyncExitStack() as stack:

        async def enter(number: int) -> Stream:
            async with gate:
                return await stack.enter_async_context(opened(server, path, goal, number=number, cookie=cookie))

        yield list(await asyncio.gather(*map(enter, range(count))))
