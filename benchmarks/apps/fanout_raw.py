"""Fan-out by hand: a queue for each subscriber, and events that are encoded once."""

import asyncio
import json
from itertools import count

from benchmarks.apps.publishing import publish

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]

queues: set[asyncio.Queue[bytes]] = set()
ids = count(1)


async def application(scope, receive, send):
    """Subscribe, or publish ``/publish/PATTERN/COUNT/SERIES``."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    match scope["path"].split("/")[1:]:
        case "publish", pattern, number, series:
            await publish(put, pattern, int(number), int(series))
            await send({"type": "http.response.body", "body": b"ok"})
        case _:
            await subscribe(send)


async def subscribe(send):
    """Send what is put, one event after the other."""
    queue = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        queues.discard(queue)


async def put(event):
    """Give an event to every subscriber."""
    frame = b"id: %d\ndata: %s\n\n" % (next(ids), json.dumps(event, separators=(",", ":")).encode())
    for queue in queues:
        queue.put_nowait(frame)
