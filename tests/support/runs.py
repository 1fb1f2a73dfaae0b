"""Sources and followers of runs for tests."""

import asyncio

from adrf_sse.runs import follow
from adrf_sse.runs.local import count_runs

COMPLETED = ("end", {"status": "completed"})
STOPPED = ("end", {"status": "stopped"})
LOST = ("end", {"status": "lost"})
FAILED = ("end", {"status": "failed"})


class Gate:
    """A source that yields what the test puts, until it receives ``None`` or is stopped."""

    def __init__(self):
        self.items = asyncio.Queue()
        self.started = asyncio.Event()
        self.closed = asyncio.Event()

    def put(self, *items):
        for item in items:
            self.items.put_nowait(item)

    async def source(self):
        self.started.set()
        try:
            while (item := await self.items.get()) is not None:
                yield item
        finally:
            self.closed.set()


async def words(*values):
    for value in values:
        yield value


def contents(events):
    return [(event.event, event.data) for event in events]


async def all_of(run_id, last_event_id=None):
    """Return the content of all events of a run, to its end."""
    async with asyncio.timeout(40):
        return contents([event async for event in follow(run_id, last_event_id)])


async def slots_to_come_back():
    """Wait until the process produces no run."""
    async with asyncio.timeout(30):
        while count_runs():
            await asyncio.sleep(0.01)
