"""Named events, for clients that read any stream, such as fetch-event-source and httpx-sse."""

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Words(AsyncSSEAPIView):
    end_event = "end", {}

    async def post(self, request):
        async for word in words(request.data["text"]):
            yield "word", {"word": word}
