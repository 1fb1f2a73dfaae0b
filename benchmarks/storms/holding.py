"""What it costs to hold idle streams, and to close them when their clients leave."""

import asyncio
from typing import Protocol

from benchmarks.apps.sessions import COOKIE
from benchmarks.clients.streams import many
from benchmarks.results import Figures
from benchmarks.servers import SETTLE, Server

PATH = "/hold/1"

WARM_UP = 50
"""Streams that are opened and closed before."""


class Sizes(Protocol):
    """Name the size that the measure needs."""

    idle: int
    """Idle streams of a signed-in user."""


async def held(server: Server, sizes: Sizes) -> Figures:
    """Memory in KiB of each idle stream, and processor time for each when all clients leave."""
    async with many(server, PATH, WARM_UP, cookie=COOKIE):
        await asyncio.sleep(SETTLE)
    await _cpu_seconds(server)
    memory = server.memory()
    async with many(server, PATH, sizes.idle, cookie=COOKIE):
        cpu = await _cpu_seconds(server)
        memory = server.memory() - memory
    cpu = await _cpu_seconds(server) - cpu
    return {"held_memory": memory / 1024 / sizes.idle, "close_cpu": 1000 * cpu / sizes.idle}


async def _cpu_seconds(server: Server) -> float:
    return await asyncio.to_thread(server.idle_cpu_seconds)
