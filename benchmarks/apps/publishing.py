"""Publish a series of events, in the same pattern for each contender."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

IDLE = 0.003
"""Seconds between lone events, so that a server has finished with one before the next."""

PAUSES = {"lone": IDLE, "paced": 0}
"""Seconds between the events of a pattern."""

AFTERWARDS = 0.002
"""Seconds between the last event and the answer."""


async def publish(send: Callable[[dict[str, Any]], Awaitable[object]], pattern: str, count: int, series: int) -> None:
    """Publish events one after the other.

    After each, ``lone`` waits until the server has finished with it, ``paced`` gives the event loop a turn, and
    ``burst`` gives it none.
    """
    for number in range(count):
        await send({"series": series, "price": 101.25, "n": number, "at": time.monotonic_ns()})
        if pattern != "burst":
            await asyncio.sleep(PAUSES[pattern])
    # The answer must not delay the last event.
    await asyncio.sleep(AFTERWARDS)
