"""Clients of all kinds, which check the order of what they receive."""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

from adrf_sse.events.parsers import EventParser
from benchmarks.soak.ledger import Ledger, Page

MANNERS = ["steady", "steady", "steady", "slow", "slow", "stops", "vanishes", "vanishes", "hasty"]
"""What a client does with a connection. A hasty one leaves before or during the first event."""

NUMBERS = ["/async/", "/sync/", "/group/", "/finite/", "/plain/"]

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send RST in place of FIN."""

STOPPED = 6.0
"""Seconds for which a client stops to read: longer than the server's ``SEND_TIMEOUT``."""

PAUSE = 0.1
"""Seconds before a client connects again, at most."""


class Clients:
    """Hold what all clients share."""

    def __init__(self, ports: list[int], random: Random, ledger: Ledger) -> None:
        self.random = random
        self.ledger = ledger
        self.counts: Counter[str] = Counter()
        """Connections by manner, and refusals by status."""
        self.settling = False
        """Whether all clients now read everything at once, to reach the last event."""
        self._ports = ports
        self._turn = 0

    def port(self) -> int:
        """Return the port of the next server."""
        self._turn += 1
        return self._ports[self._turn % len(self._ports)]

    def manner(self) -> str:
        """Return what a client does with its next connection."""
        manner = "steady" if self.settling else self.random.choice(MANNERS)
        self.counts[manner] += 1
        return manner

    async def follow(self, page: Page) -> None:
        """Follow channels for ever, over one connection after the other."""
        query = "&".join(f"name={name}" for name in sorted(page.channels))
        while True:
            last_id = f"Last-Event-ID: {page.last_id}\r\n" if page.last_id else ""
            await self._visit(f"/channels?{query}", last_id, lambda chunks: self._receive(page, chunks))

    async def count(self, path: str) -> None:
        """Read streams of numbers for ever."""
        while True:
            await self._visit(f"{path}{self.random.choice([1, 100, 3000])}", "", self._check_numbers)

    async def _visit(self, path: str, header: str, receive: Callable[[AsyncIterator[bytes]], Awaitable[None]]) -> None:
        """Open one connection, and leave it in some manner."""
        manner = self.manner()
        with suppress(OSError, EOFError, TimeoutError, ValueError):
            async with connection(self.port(), vanishes=manner in ("vanishes", "hasty", "stops")) as (reader, writer):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
                # Without its database, a source of rows fails before its first event.
                accepted = (b"500", b"503") if path.startswith("/rows/") else (b"503",)
                await self._stay(manner, lambda pause: receive(self._chunks(reader, pause, accepted)))
        await asyncio.sleep(self.random.uniform(0, PAUSE))

    async def _stay(self, manner: str, receive: Callable[[float], Awaitable[None]]) -> None:
        if manner == "hasty":
            await asyncio.sleep(self.random.uniform(0, 0.05))
            return
        seconds = {"vanishes": 3.0, "stops": 2.0, "slow": 10.0, "steady": 20.0}[manner]
        pause = 0.2 if manner == "slow" else 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(self.random.uniform(0, seconds)):
                await receive(pause)
            return
        if manner == "stops":
            await asyncio.sleep(0 if self.settling else STOPPED)

    async def _chunks(
        self, reader: asyncio.StreamReader, pause: float, accepted: tuple[bytes, ...]
    ) -> AsyncIterator[bytes]:
        """Yield the body of a response."""
        status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
        if status != b"200":
            self.counts[f"status {status.decode()}"] += 1
            if status not in accepted:
                self.ledger.problem("refused", f"a request was answered with {status.decode()}")
            return
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
            if pause and not self.settling:
                await asyncio.sleep(self.random.uniform(0, pause))

    async def _receive(self, page: Page, chunks: AsyncIterator[bytes]) -> None:
        parser = EventParser()
        async for chunk in chunks:
            self.ledger.receive(page, parser, chunk)

    async def _check_numbers(self, chunks: AsyncIterator[bytes]) -> None:
        parser, expected = EventParser(), 0
        async for chunk in chunks:
            for event in parser.feed(chunk):
                if event.event is not None:
                    self.counts[f"event {event.event}"] += 1
                    continue
                number = json.loads(event.data)["n"]
                if number != expected:
                    what = "lost" if number > expected else "repeated"
                    self.ledger.problem(what, f"{number} in place of {expected} in a stream of numbers")
                expected = number + 1


@asynccontextmanager
async def connection(port: int, *, vanishes: bool) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect with little room for what is not read, and close the connection, without a FIN if it vanishes."""
    with socket.socket() as plain:
        plain.setblocking(False)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if vanishes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        async with asyncio.timeout(30):
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
