"""adrf_sse: the same views with ``compress = True``."""

from django.core.asgi import get_asgi_application
from django.urls import path

from benchmarks.apps.compress_off import Channel, Stream, publish

urlpatterns = [
    path("subscribe", Channel.as_view(compress=True)),
    path("publish/<int:count>", publish),
    path("<str:kind>/<int:count>", Stream.as_view(compress=True)),
]
application = get_asgi_application()
