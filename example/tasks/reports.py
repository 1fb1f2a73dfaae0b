"""A report that takes a while, as the task of a worker."""

import asyncio

from django.conf import settings
from django.tasks import task

from adrf_sse.runs import produce_sync

PARTS = ["north", "east", "south", "west"]


async def report(parts):
    """Yield the progress of a report, and then the report. Each part takes ``EXAMPLE_TICK`` seconds."""
    total = 0
    for done, part in enumerate(PARTS[:parts], 1):
        await asyncio.sleep(settings.EXAMPLE_TICK)
        total += len(part)
        yield "progress", {"part": part, "done": done, "of": parts}
    yield "report", {"total": total}


@task
def write_report(run_id, parts):
    return produce_sync(run_id, report(parts))
