"""An ASGI application by hand, which does not compress."""

from benchmarks.apps.compressing import frames
from benchmarks.apps.raw import HEADERS


async def application(scope, receive, send):
    """Send the frames one by one."""
    _, kind, count = scope["path"].split("/")
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    async for frame in frames(kind, int(count)):
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
