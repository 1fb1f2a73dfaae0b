"""The project with a stream that names its process; the module is settings and URLs in one."""

import asyncio
import os

from django.urls import path

from adrf_sse.views import AsyncSSEAPIView
from tests.project.settings import *  # noqa: F403

ROOT_URLCONF = __name__


class Named(AsyncSSEAPIView):
    async def get(self, request):
        yield "process", os.getpid()
        await asyncio.Event().wait()


urlpatterns = [path("", Named.as_view())]
