"""Clients that accept gzip: they count the bytes of a response's body, and the events in it."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httptools

from benchmarks.clients.connections import OPENERS, local_address
from benchmarks.clients.streams import MARK
from benchmarks.limits import PATIENCE
from benchmarks.servers import Server


class Reader(asyncio.Protocol):
    """Request a path, decode the response, and count until a number of events has come."""

    def __init__(self, path: str, goal: int) -> None:
        self.bytes = 0
        """Bytes of the body, as they were sent."""
        self.text = 0
        """Bytes of the body, decoded."""
        self.events = 0
        self.goal = goal
        self.begun = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._path = path
        self._parser = httptools.HttpResponseParser(self)
        self._member: zlib._Decompress | None = None
        self._tail = b""

    def restart(self, goal: int) -> None:
        """Start to count anew."""
        self.goal, self.events = goal, 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-encoding":
            self._member = zlib.decompressobj(31)

    def on_headers_complete(self) -> None:
        self.begun.set_result(None)

    def on_body(self, body: bytes) -> None:
        self.bytes += len(body)
        text = self._decoded(body)
        self.text += len(text)
        self.events += (self._tail + text).count(MARK)
        self._tail = (self._tail + text)[1 - len(MARK) :]
        if self.events >= self.goal and not self.done.done():
            self.done.set_result(None)

    def _decoded(self, body: bytes) -> bytes:
        if self._member is None:
            return body
        text = b""
        while body:
            text += self._member.decompress(body)
            body = self._member.unused_data
            if body:  # Django 5.2 makes each chunk a member
                self._member = zlib.decompressobj(31)
        return text


@asynccontextmanager
async def readers(server: Server, path: str, count: int, goal: int = 1) -> AsyncIterator[list[Reader]]:
    """Request streams, wait for the headers of each, and cut their connections at the end of the block."""
    gate = asyncio.Semaphore(OPENERS)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:

        async def enter(number: int) -> Reader:
            async with gate:
                transport, reader = await loop.create_connection(
                    lambda: Reader(path, goal), "127.0.0.1", server.port, local_addr=local_address(number)
                )
                stack.callback(transport.abort)
                async with asyncio.timeout(PATIENCE):
                    await reader.begun
                return reader

        yield list(await asyncio.gather(*map(enter, range(count))))
