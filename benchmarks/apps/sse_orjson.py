"""adrf_sse: a view that yields, its JSON written by orjson."""

import orjson
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.renderers import BaseRenderer

from adrf_sse.renderers import EventStreamRenderer
from benchmarks.apps import sse_view


class ORJSONRenderer(BaseRenderer):
    """Write JSON with orjson."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return orjson.dumps(data)


class ORJSONEventStreamRenderer(EventStreamRenderer):
    """Stream events whose data is written by orjson."""

    data_renderer_class = ORJSONRenderer


class Stream(sse_view.Stream):
    """Stream the events."""

    renderer_classes = [ORJSONEventStreamRenderer]


urlpatterns = [path("<str:kind>/<int:count>", Stream.as_view())]
application = get_asgi_application()
