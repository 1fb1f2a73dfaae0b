"""Fragments of HTML for htmx 2 and htmx 4."""

from django.utils.html import format_html

from adrf_sse.events import ServerSentEvent
from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Fragments(AsyncSSEAPIView):
    finite = True

    async def get(self, request):
        async for word in words(request.GET["text"]):
            yield format_html("<li>{}</li>", word)

    def format_error(self, exc):
        failed = ServerSentEvent("<li>The model has failed.</li>")
        return failed.encode() + ServerSentEvent("", event="end").encode()
