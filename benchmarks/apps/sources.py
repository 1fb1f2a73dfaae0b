"""What every contender streams, named by the path of the request: ``/KIND/COUNT``."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

Event = dict[str, Any]

PULSE = 0.005
"""Seconds between the events of a pulse."""


gates: list[asyncio.Event] = []
"""One for each flood that waits."""


async def flood(count: int) -> AsyncIterator[Event]:
    """Yield an event, and after a release many more, as fast as they are taken."""
    yield made(0)
    gates.append(gate := asyncio.Event())
    await gate.wait()
    for number in range(count):
        yield made(number)


async def release(count: int) -> AsyncIterator[Event]:
    """Release all floods that wait, and yield an event."""
    while gates:
        gates.pop().set()
    yield made(0)


def made(number: int) -> Event:
    return {"n": number, "price": 101.25}


async def few(count: int) -> AsyncIterator[Event]:
    """Yield a few events, and end."""
    for number in range(count):
        yield made(number)


async def pulse(count: int) -> AsyncIterator[Event]:
    """Yield events one by one, each with the time at which it was made."""
    for number in range(count):
        yield {"n": number, "at": time.monotonic_ns()}
        await asyncio.sleep(PULSE)


async def hold(count: int) -> AsyncIterator[Event]:
    """Yield a few events, then nothing for ever."""
    for number in range(count):
        yield made(number)
    await asyncio.get_running_loop().create_future()


KINDS = {kind.__name__: kind for kind in (flood, release, few, pulse, hold)}


def source(kind: str, count: str | int) -> AsyncIterator[Event]:
    """Return the events that a path asks for."""
    return KINDS[kind](int(count))


async def frames(kind: str, count: str | int) -> AsyncIterator[bytes]:
    """Yield the same events as the bytes that a hand-written view sends."""
    async for event in source(kind, count):
        yield frame(event)


encode = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps() would make an encoder for each event


def frame(event: Event) -> bytes:
    return b"data: " + encode(event).encode() + b"\n\n"
