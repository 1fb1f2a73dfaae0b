"""Django as it comes, with a view that reads the user."""

from django.core.asgi import get_asgi_application
from django.urls import path

from benchmarks.apps import plain_django


async def stream(request, kind, count):
    """Stream the frames."""
    await request.auser()
    return await plain_django.stream(request, kind, count)


urlpatterns = [path("<str:kind>/<int:count>", stream)]
application = get_asgi_application()
