"""FastAPI, with the server-sent events of its own."""

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse

from benchmarks.apps.sources import source

application = FastAPI()


@application.get("/{kind}/{count}", response_class=EventSourceResponse)
async def stream(kind: str, count: int):
    """Stream the events."""
    async for event in source(kind, count):
        yield event
