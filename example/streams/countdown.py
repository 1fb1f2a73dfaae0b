"""A finite stream, from an asynchronous and from a synchronous generator."""

import asyncio
import time

from django.conf import settings

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView

START = 10


class Countdown(AsyncSSEAPIView):
    """Stream named events from an asynchronous generator."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    finite = True

    async def get(self, request):
        for number in range(START, 0, -1):
            yield "tick", number
            await asyncio.sleep(settings.EXAMPLE_TICK)
        yield "blastoff", "Blastoff!"


class SyncCountdown(AsyncSSEAPIView):
    """Stream the same events from a synchronous generator. It blocks its own thread, but never the event loop."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    finite = True

    def get(self, request):
        for number in range(START, 0, -1):
            yield "tick", number
            time.sleep(settings.EXAMPLE_TICK)
        yield "blastoff", "Blastoff!"
