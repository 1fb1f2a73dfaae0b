"""The case this package was made for: five messages, one a second, from a stock adrf view."""

import asyncio

from adrf.views import APIView
from django.conf import settings
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.responses import EventStreamResponse


async def messages():
    for number in range(1, 6):
        if number > 1:
            await asyncio.sleep(settings.EXAMPLE_TICK)
        yield f"Message {number} of 5"


class StockView(APIView):
    """An unmodified adrf view: naming the renderer is all it takes. The other one is for browsers."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    async def get(self, request):
        return Response(messages())


async def plain_view(request):
    """The same events from a plain Django view."""
    return EventStreamResponse(messages())
