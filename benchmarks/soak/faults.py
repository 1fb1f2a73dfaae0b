"""What breaks during a run: Redis, PostgreSQL, and one of the servers."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from benchmarks.live_servers import LiveServer

GAP = (1.0, 5.0)
"""Seconds between two faults."""


class Faults:
    """Break one thing after the other."""

    def __init__(self, random: Random, server: LiveServer, redis: Any, postgres: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        """Seconds that the slowest server took to exit."""
        self._random, self._server, self._redis, self._postgres = random, server, redis, postgres
        self._waiting: list[Callable[[], Awaitable[None]]] = []

    async def run(self, seconds: float) -> None:
        """Break things for some time. Everything works at the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        faults = [self._restart_server]
        if self._redis is not None:
            faults += [self._kill_redis, self._pause_redis]
        if self._postgres is not None:
            faults.append(self._kill_postgres)
        shortest, longest = GAP
        while loop.time() < end:
            gap = self._random.uniform(shortest, max(shortest, min(longest, seconds / 4)))
            await asyncio.sleep(min(gap, max(0, end - loop.time())))
            # Each fault happens once before one of them happens again, also over several parts of a run.
            self._waiting = self._waiting or self._random.sample(faults, len(faults))
            await self._waiting.pop()()

    async def _down(self) -> None:
        await asyncio.sleep(self._random.uniform(0.1, 3))

    async def _restart_server(self) -> None:
        self.counts["server restarted"] += 1
        self.slowest = max(self.slowest, await asyncio.to_thread(self._server.terminate))
        await asyncio.to_thread(self._server.start)

    async def _kill_redis(self) -> None:
        self.counts["Redis killed"] += 1
        await asyncio.to_thread(self._redis.kill)
        await self._down()
        await asyncio.to_thread(self._redis.start)

    async def _pause_redis(self) -> None:
        self.counts["Redis paused"] += 1
        self._redis.pause()
        try:
            await self._down()
        finally:
            self._redis.resume()

    async def _kill_postgres(self) -> None:
        self.counts["PostgreSQL killed"] += 1
        await asyncio.to_thread(self._postgres.kill)
        await self._down()
        await asyncio.to_thread(self._postgres.start)
