"""django-flosse."""

from django.core.asgi import get_asgi_application
from django.urls import path
from django_flosse import sse_stream

from benchmarks.apps.sources import source


@sse_stream
async def stream(request, kind, count):
    """Stream the events."""
    async for event in source(kind, count):
        yield event


urlpatterns = [path("<str:kind>/<int:count>", stream)]
application = get_asgi_application()
