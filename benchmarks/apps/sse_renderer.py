"""adrf_sse: its renderer on an unmodified adrf view."""

from adrf.views import APIView
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamRenderer
from benchmarks.apps.sources import source


class Stream(APIView):
    """Stream the events."""

    renderer_classes = [EventStreamRenderer]

    async def get(self, request, kind, count):
        return Response(source(kind, count))


urlpatterns = [path("<str:kind>/<int:count>", Stream.as_view())]
application = get_asgi_application()
