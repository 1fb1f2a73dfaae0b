"""adrf as it comes."""

from adrf.views import APIView
from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path

from benchmarks.apps.sources import frames


class Stream(APIView):
    """Stream the frames."""

    async def get(self, request, kind, count):
        return StreamingHttpResponse(frames(kind, count), content_type="text/event-stream")


urlpatterns = [path("<str:kind>/<int:count>", Stream.as_view())]
application = get_asgi_application()
