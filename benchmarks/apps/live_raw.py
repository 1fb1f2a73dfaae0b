"""Rows by hand: a queue for each subscriber, and rows that are serialized once, from the instance that was saved."""

import asyncio
import json

import django
from django.db import transaction
from django.db.models.signals import post_save

django.setup()

from benchmarks.apps.fanout_raw import HEADERS, queues, subscribe  # noqa: E402
from benchmarks.apps.live_rows.counts import count  # noqa: E402
from benchmarks.apps.live_rows.models import Row  # noqa: E402
from benchmarks.apps.live_rows.writing import with_writer  # noqa: E402

loop = asyncio.get_running_loop()


async def stream(scope, receive, send):
    """Send the rows that change."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await subscribe(send)


def send_row(instance, **kwargs):
    """Give a row to every subscriber when its transaction commits."""
    count("serialized")
    row = {name: getattr(instance, name) for name in ("id", "series", "price", "n", "at")}
    frame = b"event: updated\ndata: %s\n\n" % json.dumps(row, separators=(",", ":")).encode()
    transaction.on_commit(lambda: loop.call_soon_threadsafe(put, frame))


def put(frame):
    """Give a frame to every subscriber."""
    for queue in queues:
        queue.put_nowait(frame)


post_save.connect(send_row, sender=Row)
application = with_writer(stream)
