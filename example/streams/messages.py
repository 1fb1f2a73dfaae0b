"""Five messages, one each second, from an unmodified adrf view. The package was written for this case."""

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
    """Stream from an unmodified adrf view. It only needs the renderer; the second renderer is for browsers."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    async def get(self, request):
        return Response(messages())


async def plain_view(request):
    """Stream the same events from a plain Django view."""
    return EventStreamResponse(messages())
