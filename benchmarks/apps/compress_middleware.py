"""Django's ``GZipMiddleware`` on a ``StreamingHttpResponse``."""

from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.middleware.gzip import GZipMiddleware
from django.urls import path

from benchmarks.apps.compressing import frames

middleware = GZipMiddleware(lambda request: None)


async def stream(request, kind, count):
    """Stream the frames."""
    response = StreamingHttpResponse(frames(kind, count), content_type="text/event-stream")
    return middleware.process_response(request, response)


urlpatterns = [path("<str:kind>/<int:count>", stream)]
application = get_asgi_application()
