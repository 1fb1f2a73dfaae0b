"""An ASGI application by hand."""

from benchmarks.apps.sources import frames

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


async def application(scope, receive, send):
    """Send the frames one by one."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    async for frame in frames(*scope["path"].split("/")[1:]):
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
