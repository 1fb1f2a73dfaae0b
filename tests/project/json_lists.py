"""The project with a long JSON list, served without the garbage collector; the module is settings and URLs in one.

So memory that is free has been released, and not found by the garbage collector.
"""

import gc
import tracemalloc

from django.http import HttpResponse, JsonResponse
from django.urls import path
from rest_framework.renderers import JSONRenderer

from adrf_sse.streams.collector import count_lists
from adrf_sse.views import AsyncSSEAPIView
from tests.project.settings import *  # noqa: F403

ROOT_URLCONF = __name__
TEXT = "a" * 70_000
COUNT = 100


class Long(AsyncSSEAPIView):
    renderer_classes = [JSONRenderer]

    async def get(self, request):
        for _ in range(COUNT):
            yield TEXT


async def begin(request):
    """Trace memory from now on."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    return HttpResponse()


async def memory(request):
    """Return the bytes in use, and at most, and the number of lists."""
    return JsonResponse([*tracemalloc.get_traced_memory(), count_lists()], safe=False)


urlpatterns = [
    path("long/", Long.as_view()),
    path("impatient/", Long.as_view(send_timeout=0.2)),
    path("begin/", begin),
    path("memory/", memory),
]
