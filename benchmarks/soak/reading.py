"""What the publisher reports, and whether the followers have received it."""

import asyncio
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from benchmarks.soak.ledger import Ledger, Page


async def read_published(pipe: Connection, ledger: Ledger) -> None:
    """Note what the publisher reports, until it stops."""
    with suppress(EOFError):
        while True:
            while pipe.poll():
                message = pipe.recv()
                if message is None:
                    return
                ledger.publish(*message)
            await asyncio.sleep(0.05)


async def late_pages(ledger: Ledger, patience: float) -> list[Page]:
    """Wait until each follower has received the last event of its channels, and return the pages of those that fail."""
    last = ledger.last_ids()
    deadline = time.monotonic() + patience
    while late := [page for page in ledger.pages if page.last_id < max(last[name] for name in page.channels)]:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    return late
