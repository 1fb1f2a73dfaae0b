"""Renderers and what users derive from them."""

from collections.abc import AsyncIterator

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer, JSONLinesRenderer, NDJSONRenderer
from adrf_sse.views import AsyncSSEAPIView


class CompactJSONRenderer(JSONRenderer):
    compact = True


class CompactEventStreamRenderer(EventStreamRenderer):
    data_renderer_class = CompactJSONRenderer


class DataLinesRenderer(JSONLinesRenderer):
    format = "data-lines"
    envelope = False
    other_media_types = ("application/x-ndjson", "application/jsonlines")


class ShopConsoleRenderer(EventStreamConsoleRenderer):
    template = "shop/console.html"


class Planets(AsyncSSEAPIView):
    renderer_classes = [
        CompactEventStreamRenderer,
        DataLinesRenderer,
        NDJSONRenderer,
        JSONRenderer,
        ShopConsoleRenderer,
    ]

    async def get(self, request: Request) -> AsyncIterator[str]:
        yield "Mercury"
