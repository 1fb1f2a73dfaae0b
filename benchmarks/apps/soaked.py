"""Every kind of source, channels, and a source that queries the database for each event."""

import asyncio

from django.core.asgi import get_asgi_application
from django.urls import path

from benchmarks.apps import every_source

from adrf_sse.views import AsyncSSEAPIView  # isort: skip  # Django is set up by the module above.
from django.contrib.contenttypes.models import ContentType  # isort: skip


class Rows(AsyncSSEAPIView):
    """Count up, with a query for each number. If the database is gone, the stream ends with an ``error`` event."""

    async def get(self, request, count):
        for number in range(count):
            await ContentType.objects.acount()
            await asyncio.sleep(every_source.PAUSE)
            yield {"n": number}


urlpatterns = [*every_source.urlpatterns, path("rows/<int:count>", Rows.as_view())]
application = get_asgi_application()
