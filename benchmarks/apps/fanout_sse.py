"""adrf_sse: a view of a channel, over memory or, where ``BENCHMARK_REDIS`` names one, over Redis."""

import asyncio
import os
import time
from functools import partial
from statistics import median

from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from adrf_sse.channels import apublish
from adrf_sse.views import ChannelStreamView
from benchmarks.apps import publishing
from benchmarks.apps.publishing import IDLE


class Stream(ChannelStreamView):
    """Stream the channel."""

    def get_channels(self):
        return ["bench"]


async def publish(request, pattern, count, series):
    """Publish events."""
    await publishing.publish(partial(apublish, "bench"), pattern, count, series)
    return HttpResponse("ok")


async def round_trip(request, count):
    """Return the microseconds of a Redis round trip: a PING through redis-py, as seldom as lone events come."""
    from redis.asyncio import Redis

    times = []
    async with Redis.from_url(os.environ["BENCHMARK_REDIS"], protocol=2) as client:
        for _ in range(count):
            await asyncio.sleep(IDLE)
            began = time.perf_counter()
            await client.ping()
            times.append(time.perf_counter() - began)
    return HttpResponse(str(1e6 * median(times)))


urlpatterns = [
    path("subscribe", Stream.as_view()),
    path("publish/<str:pattern>/<int:count>/<int:series>", publish),
    path("round-trip/<int:count>", round_trip),
]
application = get_asgi_application()
