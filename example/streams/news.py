"""One stream from two producers. Their task group ends when the client disconnects."""

import asyncio
from contextlib import asynccontextmanager
from itertools import cycle

from django.conf import settings

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView

NEWS = [
    "Local cat elected mayor, promises longer naps",
    "Chess club wins regatta by a pawn",
    "Library lends out its last umbrella",
    "Clock tower apologises for being early",
    "Bakery names sourdough employee of the month",
]
WEATHER = ["Sunny, 21 °C", "Light breeze from the west", "Clouds, then more clouds", "Drizzle, 14 °C", "A rainbow"]


class NewsAndWeather(AsyncSSEAPIView):
    """Stream the events of two producers. When the stream ends, the task group cancels both."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    @asynccontextmanager
    async def get(self, request):
        # The size is limited, so that the producers wait for a slow client and don't fill the memory.
        events = asyncio.Queue(maxsize=8)
        async with asyncio.TaskGroup() as producers:
            producers.create_task(produce(events, "news", NEWS, every=2))
            producers.create_task(produce(events, "weather", WEATHER, every=3))
            yield drain(events)


async def produce(events, name, items, *, every):
    for item in cycle(items):
        await events.put((name, item))
        await asyncio.sleep(every * settings.EXAMPLE_TICK)


async def drain(events):
    while True:
        yield await events.get()
