"""Streams of every kind of source, in every form. The numbers of each count up from 0."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import django
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.renderers import JSONRenderer

django.setup()

from adrf_sse.decorators import event_stream  # noqa: E402
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer, NDJSONRenderer  # noqa: E402
from adrf_sse.responses import EventStreamResponse  # noqa: E402
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView  # noqa: E402
from benchmarks.apps.figures import figures  # noqa: E402

PAUSE = float(os.environ.get("BENCHMARK_PAUSE", 0.005))
"""Seconds between two events of a source."""

FORMS = [EventStreamRenderer, JSONLinesRenderer, NDJSONRenderer, JSONRenderer]


async def counting(count):
    """Yield numbers, some after a pause and some at once."""
    for number in range(count):
        if number % 8 == 0:
            await asyncio.sleep(PAUSE)
        yield {"n": number}


def counting_sync(count):
    """Yield numbers in a thread."""
    for number in range(count):
        if number % 8 == 0:
            time.sleep(PAUSE)
        yield {"n": number}


@asynccontextmanager
async def counting_group(count):
    """Yield numbers from a task of a group."""
    queue = asyncio.Queue(4)

    async def produce():
        async for item in counting(count):
            await queue.put(item)

    async def consume():
        for _ in range(count):
            yield await queue.get()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        yield consume()


class Numbers(AsyncSSEAPIView):
    renderer_classes = FORMS
    source = staticmethod(counting)

    async def get(self, request, count):
        return self.source(count)

    async def post(self, request, count):
        return self.source(len(str(request.data)) % 7)


class NumbersSync(Numbers):
    source = staticmethod(counting_sync)


class NumbersGroup(Numbers):
    source = staticmethod(counting_group)


class Finite(Numbers):
    finite = True
    retry = 10


@event_stream(methods=["GET", "POST", "PUT"], heartbeat=0.01)
async def silent(request):
    yield "first"
    await asyncio.Event().wait()


async def plain(request, count):
    return EventStreamResponse(counting(count))


class Channels(ChannelStreamView):
    # Not as one list: a client that has left unnoticed would be waited for until the list is complete.
    renderer_classes = FORMS[:-1]

    def get_channels(self):
        return self.request.GET.getlist("name")


urlpatterns = [
    path("figures", figures),
    path("async/<int:count>", Numbers.as_view()),
    path("sync/<int:count>", NumbersSync.as_view()),
    path("group/<int:count>", NumbersGroup.as_view()),
    path("finite/<int:count>", Finite.as_view()),
    path("plain/<int:count>", plain),
    path("silent", silent),
    path("channels", Channels.as_view()),
]
application = get_asgi_application()
