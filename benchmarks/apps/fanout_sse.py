"""adrf_sse: a view of a channel, over memory or the broker that ``BENCHMARK_REDIS`` or ``BENCHMARK_POSTGRES`` names."""

import asyncio
import os
import time
from functools import partial
from statistics import median

from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpResponse, JsonResponse
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


async def costs(request, count):
    """Return the microseconds of ``publish()`` and of its parts, each as seldom as lone events come."""
    calls = {"published": partial(apublish, "others", {"price": 101.25})}
    if "BENCHMARK_REDIS" in os.environ:
        from redis.asyncio import Redis

        async with Redis.from_url(os.environ["BENCHMARK_REDIS"], protocol=2) as client:
            calls["round_trip"] = client.ping
            return JsonResponse({name: await _cost(call, count) for name, call in calls.items()})
    calls["round_trip"] = partial(_execute, "SELECT 1")
    calls["committed"] = partial(_execute, "INSERT INTO rows_plain (channel, body) VALUES ('bench', '')")
    return JsonResponse({name: await _cost(call, count) for name, call in calls.items()})


@sync_to_async
def _execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


async def _cost(call, count):
    times = []
    for _ in range(count):
        await asyncio.sleep(IDLE)
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return 1e6 * median(times)


urlpatterns = [
    path("subscribe", Stream.as_view()),
    path("publish/<str:pattern>/<int:count>/<int:series>", publish),
    path("costs/<int:count>", costs),
]
application = get_asgi_application()
