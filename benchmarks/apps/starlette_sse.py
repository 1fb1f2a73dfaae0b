"""sse-starlette."""

from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.applications import Starlette
from starlette.routing import Route

from benchmarks.apps.sources import source


async def events(kind, count):
    """Yield the events as its own."""
    async for event in source(kind, count):
        yield JSONServerSentEvent(event)


async def stream(request):
    """Stream the events."""
    return EventSourceResponse(events(**request.path_params))


application = Starlette(routes=[Route("/{kind}/{count:int}", stream)])
