"""Arrivals: clients that come at a steady rate, however slow the server is, and come again until they are served."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.clients.streams import Cut, Refused, connected
from benchmarks.servers import Server

AGAIN = 1.0
"""Seconds after which a client tries again."""

PROBLEMS = {ConnectionRefusedError: "refused", OSError: "reset", Cut: "reset", Refused: "rejected"}
"""What happened to an attempt, by its error; the first that fits counts."""


class Arrivals:
    """Hold what clients experience."""

    def __init__(self, server: Server, path: str) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(PROBLEMS.values(), 0))
        """First attempts that failed: ``refused`` or ``reset`` connections, ``rejected`` with a status but 200."""
        self.waits: list[float] = []
        """Seconds from each client's first attempt to its first event."""
        self._server, self._path = server, path

    async def arrive(self, number: int, after: float, stack: AsyncExitStack) -> None:
        """Wait, then try until the first event comes. The stack closes the connection."""
        await asyncio.sleep(after)
        began = time.perf_counter()
        problem = await self._attempt(number, stack)
        if problem:
            self.counts[problem] += 1
        while problem:
            await asyncio.sleep(AGAIN)
            problem = await self._attempt(number, stack)
        self.waits.append(time.perf_counter() - began)

    async def _attempt(self, number: int, stack: AsyncExitStack) -> str:
        """Return what went wrong, or nothing."""
        try:
            stream = await stack.enter_async_context(connected(self._server, self._path, number=number))
            await stream.begun
        except (OSError, Refused) as exc:
            return next(what for kind, what in PROBLEMS.items() if isinstance(exc, kind))
        return ""


@asynccontextmanager
async def arrivals(server: Server, path: str, count: int, rate: float) -> AsyncIterator[Arrivals]:
    """Let clients arrive at so many a second, wait until each has its first event, and let all leave at the end."""
    clients = Arrivals(server, path)
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(clients.arrive(number, number / rate, stack) for number in range(count)))
        yield clients
