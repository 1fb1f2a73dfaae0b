"""One view in three formats: server-sent events, JSON Lines, and one JSON list."""

import asyncio

from django.conf import settings
from rest_framework.renderers import JSONRenderer

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer, JSONLinesRenderer
from adrf_sse.views import AsyncSSEAPIView

MOONS = {"Mercury": 0, "Venus": 0, "Earth": 1, "Mars": 2}


class Planets(AsyncSSEAPIView):
    """Stream planets. The client's ``Accept`` header selects the format; the source is the same for all formats."""

    renderer_classes = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer, EventStreamConsoleRenderer]
    finite = True

    async def get(self, request):
        for number, (name, moons) in enumerate(MOONS.items(), 1):
            yield "planet", {"name": name, "moons": moons}, number
            await asyncio.sleep(settings.EXAMPLE_TICK)
