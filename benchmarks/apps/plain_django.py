"""Django as it comes."""

from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path

from benchmarks.apps.sources import frames


async def stream(request, kind, count):
    """Stream the frames."""
    return StreamingHttpResponse(frames(kind, count), content_type="text/event-stream")


urlpatterns = [path("<str:kind>/<int:count>", stream)]
application = get_asgi_application()
