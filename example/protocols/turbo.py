"""Turbo Streams."""

from django.utils.html import format_html

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words

APPEND = '<turbo-stream action="append" target="words"><template><li>{}</li></template></turbo-stream>'


class TurboStreams(AsyncSSEAPIView):
    finite = True

    async def get(self, request):
        async for word in words(request.GET["text"]):
            yield format_html(APPEND, word)

    def format_error(self, exc):
        return format_html(APPEND, "The model has failed.")
