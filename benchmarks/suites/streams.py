"""What a stream costs."""

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.clients.streams import Stream, connected, many, opened
from benchmarks.contenders import BASELINE, STREAMS, VIEW
from benchmarks.results import Figures, Results
from benchmarks.servers import SETTLE, Server
from benchmarks.suites.suite import Column, Sitting, Suite, Table

NEVER = 2**62
"""A number of events that does not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of events and streams."""

    one_stream: int = 200_000
    """Events of a lone stream."""
    streams: int = 50
    """Streams at the same time."""
    events_each: int = 8_000
    """Events of each of them."""
    seconds: float = 3
    """A flood is stopped after that long; its rate is that of the events that came."""
    first_events: int = 50
    """Fresh connections."""
    lone_events: int = 300
    """Events one by one."""
    idle: int = 2_000
    """Idle streams."""
    crowd: int = 10_000
    """Idle streams of the contenders that take part in the crowd."""


async def warm_up(server: Server, sizes: Sizes) -> Figures:
    """Make the server import and cache what it needs for a first request."""
    async with opened(server, "/hold/2000", 2000) as stream:
        await stream.done
    async with many(server, "/hold/1", 20):
        pass
    await asyncio.sleep(SETTLE)
    return {}


async def first_event(server: Server, sizes: Sizes) -> Figures:
    """Time from the connection attempt to the first event, in milliseconds."""
    times = []
    for _ in range(sizes.first_events):
        began = time.perf_counter()
        async with opened(server, "/hold/1") as stream:
            times.append(stream.last - began)
    return {"first_event": 1000 * median(times)}


async def lone_event(server: Server, sizes: Sizes) -> Figures:
    """Time from the source to the client of an event on an otherwise silent stream, in microseconds."""
    delays: list[float] = []

    def note(data: bytes) -> None:
        now = time.monotonic_ns()
        delays.extend((now - int(at)) / 1000 for at in re.findall(rb'"at": ?(\d+)', data))

    async with connected(server, f"/pulse/{sizes.lone_events}", sizes.lone_events, on_data=note) as stream:
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
    return await _held("idle", server, sizes.idle)


async def crowd(server: Server, sizes: Sizes) -> Figures:
    """Memory in KiB and threads that each of very many idle streams costs."""
    return await _held("crowd", server, sizes.crowd)


async def _flooded(server: Server, count: int, events: int, seconds: float) -> tuple[float, float]:
    """Return the events a second, and the server's microseconds for each, of floods that begin together."""
    async with many(server, f"/flood/{events}", count, NEVER) as streams:
        cpu = server.cpu_seconds()
        elapsed = await _released(server, streams, events, seconds)
        cpu = server.cpu_seconds() - cpu
        came = sum(stream.events for stream in streams)
        return came / elapsed, 1e6 * cpu / came


async def _released(server: Server, streams: list[Stream], events: int, seconds: float) -> float:
    """Release the floods until they end or the time is up; return the seconds from the release to the last byte.

    Not from the first byte: a server that sends what is ready together has done much of its work by then.
    """
    for stream in streams:
        stream.restart(events)
    began = time.perf_counter()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), connected(server, "/release/1"):
            await asyncio.gather(*(stream.done for stream in streams))
    return max(stream.last for stream in streams) - began


async def _held(name: str, server: Server, count: int) -> Figures:
    process = psutil.Process(server.pid)
    memory, threads = server.memory(), process.num_threads()
    async with many(server, "/hold/1", count):
        await asyncio.sleep(SETTLE)
        memory, threads = server.memory() - memory, process.num_threads() - threads
    return {f"{name}_memory": memory / 1024 / count, f"{name}_threads": threads / count}


def _method(results: Results) -> str:
    sizes = results.sizes
    return (
        f"Each server is a fresh process with one uvicorn worker on loopback. Floods are {sizes.one_stream:,} events "
        f"on one stream and {sizes.events_each:,} on each of {sizes.streams}, or the events that come in "
        f"{sizes.seconds:g} s, timed from the request that releases them to the last byte; CPU is the server's over "
        f"the latter. The first event is timed from the connection attempt, over {sizes.first_events} connections; a "
        f"lone event from the source to the client, over {sizes.lone_events} events. Memory is the growth of the "
        f"server's resident set."
    )


STREAMS_SUITE = Suite(
    summary="the rates, latency and memory of streams",
    marker="benchmarks",
    contenders=STREAMS,
    path="/hold/1",
    sittings=(
        Sitting((warm_up, first_event, lone_event)),
        Sitting((warm_up, one_stream, many_streams)),
        Sitting((warm_up, idle)),
        Sitting((warm_up, crowd), only=(BASELINE, VIEW)),
    ),
    full=Sizes(),
    quick=Sizes(one_stream=20_000, events_each=400, seconds=2, first_events=10, lone_events=50, idle=200, crowd=1_000),
    tables=(
        Table(
            (
                Column("one_stream", "events/s, 1 stream", ",.0f"),
                Column("many_streams", "events/s, {sizes.streams} streams", ",.0f"),
                Column("cpu", "CPU µs/event", ",.1f"),
                Column("first_event", "first event, ms", ",.2f"),
                Column("lone_event", "lone event, µs", ",.0f"),
                Column("idle_memory", "KiB/stream, {sizes.idle:,} idle", ",.1f"),
                Column("idle_threads", "threads/stream", ".2f", ratio=False),
                Column("crowd_memory", "KiB/stream, {sizes.crowd:,} idle", ",.1f"),
                Column("crowd_threads", "threads/stream", ".2f", ratio=False),
            )
        ),
    ),
    method=_method,
)
