"""What compression saves, and what it costs."""

import asyncio
from dataclasses import dataclass

from benchmarks.clients.compressed import Reader, readers
from benchmarks.clients.connections import request
from benchmarks.contenders import COMPRESS, COMPRESS_OFF, COMPRESS_ON
from benchmarks.results import Figures, Results
from benchmarks.servers import SETTLE, Server
from benchmarks.suites.suite import Column, Sitting, Suite, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of events and streams."""

    events: int = 300
    """Events of a stream."""
    streams: int = 50
    """Streams of different events at the same time."""
    idle: int = 2_000
    """Idle streams."""
    subscribers: int = 300
    """Subscribers of one channel."""
    published: int = 60
    """Events that each of them receives."""


async def chat(server: Server, sizes: Sizes) -> Figures:
    """How many times smaller the chunks of a chat are, and the processor time of the server for each."""
    async with readers(server, "/chat/1", 20):
        await asyncio.sleep(SETTLE)
    before = server.cpu_seconds()
    async with readers(server, f"/chat/{sizes.events}", sizes.streams, sizes.events) as streams:
        await _all(streams)
        cpu = server.cpu_seconds() - before
    return {"chat": _ratio(streams), "chat_cpu": 1e6 * cpu / sum(stream.events for stream in streams)}


async def order(server: Server, sizes: Sizes) -> Figures:
    """How many times smaller are events that have less in common."""
    async with readers(server, f"/order/{sizes.events}", 1, sizes.events) as streams:
        await _all(streams)
        return {"order": _ratio(streams)}


async def idle(server: Server, sizes: Sizes) -> Figures:
    """Memory in KiB of each idle stream that has sent some events."""
    async with readers(server, "/hold/1", 20):
        await asyncio.sleep(SETTLE)
    memory = server.memory()
    async with readers(server, "/hold/20", sizes.idle, 20) as streams:
        await _all(streams)
        await asyncio.sleep(SETTLE)
        return {"idle": (server.memory() - memory) / 1024 / sizes.idle}


async def fan_out(server: Server, sizes: Sizes) -> Figures:
    """Processor time of the server for each event of a channel and each of its subscribers."""
    async with readers(server, "/subscribe", sizes.subscribers, 1) as streams:
        for stream in streams:
            stream.restart(sizes.published)
        before = server.cpu_seconds()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(request(f"/publish/{sizes.published}"))
            await _all(streams)
            cpu = server.cpu_seconds() - before
        finally:
            writer.close()
        return {"fan_out": 1e6 * cpu / sum(stream.events for stream in streams)}


async def _all(streams: list[Reader]) -> None:
    await asyncio.gather(*(stream.done for stream in streams))


def _ratio(streams: list[Reader]) -> float:
    return sum(stream.text for stream in streams) / sum(stream.bytes for stream in streams)


def _method(results: Results) -> str:
    sizes = results.sizes
    return (
        f"Each server is a fresh process with one uvicorn worker on loopback, and clients accept gzip. {sizes.streams} "
        f"streams send {sizes.events} chunks of a chat each, about 300 bytes long, one every 5 ms; one stream sends "
        f"{sizes.events} orders of about 60 bytes. A ratio is that of the body's decoded bytes to those sent. Memory "
        f"is the growth of the server's resident set by streams that have sent 20 chunks of a chat. The channel has "
        f"{sizes.subscribers} subscribers and {sizes.published} events, one every 50 ms."
    )


COMPRESS_SUITE = Suite(
    summary="what compression saves and costs",
    marker="compress",
    contenders=COMPRESS,
    path="/chat/1",
    sittings=(
        Sitting((chat, order)),
        Sitting((idle,)),
        Sitting((fan_out,), only=(COMPRESS_OFF, COMPRESS_ON)),
    ),
    full=Sizes(),
    quick=Sizes(events=100, streams=10, idle=200, subscribers=50, published=20),
    tables=(
        Table(
            (
                Column("chat", "chat, times smaller", ".1f", ratio=False),
                Column("order", "orders, times smaller", ".1f", ratio=False),
                Column("chat_cpu", "CPU µs/chunk of a chat", ",.0f"),
                Column("idle", "KiB/stream, {sizes.idle:,} idle", ",.1f"),
                Column("fan_out", "CPU µs/event and subscriber of a channel", ",.1f", ratio=False),
            )
        ),
    ),
    method=_method,
)
