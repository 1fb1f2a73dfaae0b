"""Publish a series of events, in the same pattern for each contender."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

IDLE = 0.003
"""Seconds between lone events, so that a server has finished with one before the next."""

AFTERWARDS = 0.002
"""Seconds between the last event and the answer."""


async def publish(send: Callable[[dict[str, Any]], Awaitable[object]], pattern: str, count: int, series: int) -> None:
    """Publish events one after the other; ``paced`` gives the event loop a turn after each, ``burst`` gives none."""
    for number in range(count):
        await send({"series": series, "price": 101.25, "n": number, "at": time.monotonic_ns()})
        if pattern == "paced":
            await asyncio.sleep(0)
    # The answer must not delay the last event.
    await asyncio.sleep(AFTERWARDS)
