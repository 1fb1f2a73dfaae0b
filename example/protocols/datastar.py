"""Datastar's patches of elements."""

from django.utils.html import format_html

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Patches(AsyncSSEAPIView):
    event = "datastar-patch-elements"
    lines = "selector #words\nmode append\nelements <li>{}</li>"

    async def get(self, request):
        async for word in words(request.GET["text"]):
            yield self.event, format_html(self.lines, word)

    def format_error(self, exc):
        return self.event, format_html(self.lines, "The model has failed.")
