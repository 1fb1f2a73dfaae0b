"""A view that tells what the server process holds."""

import asyncio
import gc
import os
import threading

import psutil
from django.http import JsonResponse

from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.streams.open_streams import open_streams

_counts = {"opened": 0, "closed": 0}


def _count(name):
    async def receiver(**kwargs):
        _counts[name] += 1

    return receiver


stream_opened.connect(_count("opened"), weak=False)
stream_closed.connect(_count("closed"), weak=False)


async def figures(request):
    """Return the resources of the process, and its streams."""
    gc.collect()
    process = psutil.Process()
    return JsonResponse(
        {
            "pid": os.getpid(),
            "memory": process.memory_info().rss / 1024**2,
            "threads": threading.active_count(),
            "descriptors": process.num_fds(),
            "tasks": len(asyncio.all_tasks()),
            "streams": len(open_streams),
            **_counts,
        }
    )
