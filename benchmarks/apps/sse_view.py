"""adrf_sse: a view that yields."""

from django.core.asgi import get_asgi_application
from django.urls import path

from adrf_sse.views import AsyncSSEAPIView
from benchmarks.apps.sources import source


class Stream(AsyncSSEAPIView):
    """Stream the events."""

    async def get(self, request, kind, count):
        async for event in source(kind, count):
            yield event


urlpatterns = [path("<str:kind>/<int:count>", Stream.as_view())]
application = get_asgi_application()
