"""Measures: each opens streams on a running server and returns figures by column."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from statistics import median

import psutil

from benchmarks.servers import Server
from benchmarks.sizes import Sizes
from benchmarks.streams import Stream, connected, opened

Figures = dict[str, float]
Measure = Callable[[Server, Sizes], Awaitable[Figures]]

OPENERS = 64
"""Connections that are being opened at the same time."""

NEVER = 2**62
"""A number of events that does not come."""

SETTLE = 0.3
"""Seconds for the server to finish with what came before."""


async def warm_up(server: Server) -> None:
    """Make the server import and cache what it does on a first request."""
    async with opened(server.port, "/hold/2000", 2000) as stream:
        await stream.done
    async with many(server, "/hold/1", 20):
        pass
    await asyncio.sleep(SETTLE)


async def first_event(server: Server, sizes: Sizes) -> Figures:
    """Time from the connection attempt to the first event, in milliseconds."""
    times = []
    for _ in range(sizes.first_events):
        began = time.perf_counter()
        async with opened(server.port, "/hold/1") as stream:
            times.append(stream.last - began)
    return {"first_event": 1000 * median(times)}


async def lone_event(server: Server, sizes: Sizes) -> Figures:
    """Time from the source to the client of an event on an otherwise silent stream, in microseconds."""
    delays: list[float] = []

    def note(data: bytes) -> None:
        now = time.monotonic_ns()
        delays.extend((now - int(at)) / 1000 for at in re.findall(rb'"at": ?(\d+)', data))

    async with connected(server.port, f"/pulse/{sizes.lone_events}", sizes.lone_events, on_data=note) as stream:
        await stream.done
    return {"lone_event": median(delays)}


async def one_stream(server: Server, sizes: Sizes) -> Figures:
    """Events a second of one stream."""
    rate, _ = await _flooded(server, 1, sizes.one_stream, sizes.seconds)
    return {"one_stream": rate}


async def many_streams(server: Server, sizes: Sizes) -> Figures:
    """Events a second of many streams together, and the processor time of the server for each event."""
    rate, cpu = await _flooded(server, sizes.streams, sizes.events_each, sizes.seconds)
    return {"many_streams": rate, "cpu": cpu}


async def idle(server: Server, sizes: Sizes) -> Figures:
    """Memory in KiB and threads that each idle stream costs."""
    memory, threads = await _held(server, sizes.idle)
    return {"idle_memory": memory, "idle_threads": threads}


async def crowd(server: Server, sizes: Sizes) -> Figures:
    """Do the same with more of them."""
    memory, threads = await _held(server, sizes.crowd)
    return {"crowd_memory": memory, "crowd_threads": threads}


MEASURES: dict[str, Measure] = {
    measure.__name__: measure for measure in (first_event, lone_event, one_stream, many_streams, idle, crowd)
}


@asynccontextmanager
async def many(server: Server, path: str, count: int, goal: int = 1) -> AsyncIterator[list[Stream]]:
    """Open streams, and wait for the first event of every one."""
    gate = asyncio.Semaphore(OPENERS)
    async with AsyncExitStack() as stack:

        async def enter(number: int) -> Stream:
            async with gate:
                return await stack.enter_async_context(opened(server.port, path, goal, number=number))

        yield list(await asyncio.gather(*map(enter, range(count))))


async def _flooded(server: Server, count: int, events: int, seconds: float) -> tuple[float, float]:
    """Return the events a second, and the server's microseconds for each, of floods that begin together."""
    async with many(server, f"/flood/{events}", count, NEVER) as streams:
        cpu = _cpu_seconds(server)
        elapsed = await _released(server, streams, events, seconds)
        cpu = _cpu_seconds(server) - cpu
        came = sum(stream.events for stream in streams)
        return came / elapsed, 1e6 * cpu / came


async def _released(server: Server, streams: list[Stream], events: int, seconds: float) -> float:
    """Let the floods go, until they end or the time is up; return the seconds from the release to the last byte.

    Not from the first byte: a server that sends what is ready together has done much of its work by then.
    """
    for stream in streams:
        stream.restart(events)
    began = time.perf_counter()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), connected(server.port, "/release/1"):
            await asyncio.gather(*(stream.done for stream in streams))
    return max(stream.last for stream in streams) - began


async def _held(server: Server, count: int) -> tuple[float, float]:
    process = psutil.Process(server.pid)
    memory, threads = process.memory_info().rss, process.num_threads()
    async with many(server, "/hold/1", count):
        await asyncio.sleep(SETTLE)
        memory, threads = process.memory_info().rss - memory, process.num_threads() - threads
    return memory / 1024 / count, threads / count


def _cpu_seconds(server: Server) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system
