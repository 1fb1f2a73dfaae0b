"""adrf_sse: a view that yields, and a channel."""

import asyncio

from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from adrf_sse.channels import apublish
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView
from benchmarks.apps.compressing import events, order

ROUND = 0.05
"""Seconds between published events, so that each is sent alone to all subscribers."""


class Stream(AsyncSSEAPIView):
    """Stream the events."""

    async def get(self, request, kind, count):
        async for event in events(kind, count):
            yield event


class Channel(ChannelStreamView):
    """Stream the channel."""

    def get_channels(self):
        return ["bench"]


async def publish(request, count):
    """Publish events."""
    for number in range(count):
        await apublish("bench", order(number))
        await asyncio.sleep(ROUND)
    return HttpResponse("ok")


urlpatterns = [
    path("subscribe", Channel.as_view()),
    path("publish/<int:count>", publish),
    path("<str:kind>/<int:count>", Stream.as_view()),
]
application = get_asgi_application()
