"""What every contender streams, named by the path of the request: ``/KIND/COUNT``."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

Event = dict[str, Any]

PULSE = 0.005
"""Seconds between the events of a pulse."""


async def flood(count: int) -> AsyncIterator[Event]:
    """Yield events as fast as they are taken."""
    for number in range(count):
        yield {"n": number, "price": 101.25}


async def pulse(count: int) -> AsyncIterator[Event]:
    """Yield events one by one, each with the time at which it was made."""
    for number in range(count):
        yield {"n": number, "at": time.monotonic_ns()}
        await asyncio.sleep(PULSE)


async def hold(count: int) -> AsyncIterator[Event]:
    """Yield a few events, then nothing for ever."""
    async for event in flood(count):
        yield event
    await asyncio.get_running_loop().create_future()


KINDS: dict[str, Callable[[int], AsyncIterator[Event]]] = {"flood": flood, "pulse": pulse, "hold": hold}


def source(kind: str, count: str | int) -> AsyncIterator[Event]:
    """Return the events that a path asks for."""
    return KINDS[kind](int(count))


async def frames(kind: str, count: str | int) -> AsyncIterator[bytes]:
    """Yield the same events as the bytes that a hand-written view sends."""
    async for event in source(kind, count):
        yield frame(event)


def frame(event: Event) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
