"""Datastar's patches of elements."""

from django.utils.html import format_html

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Patches(AsyncSSEAPIView):
    event = "datastar-patch-elements"
    target = "selector #words", "mode append"
    argument = "elements"

    async def get(self, request):
        async for word in words(request.GET["text"]):
            yield self.patch(word)

    def patch(self, text):
        html = format_html("<li>{}</li>", text)
        return self.event, "\n".join([*self.target, *(f"{self.argument} {line}" for line in html.splitlines())])

    def format_error(self, exc):
        return self.patch("The model has failed.")
