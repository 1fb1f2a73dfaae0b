"""GraphQL over server-sent events (graphql-sse), each subscription on a connection of its own."""

from adrf_sse.events import ServerSentEvent
from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words

COMPLETE = ServerSentEvent("", event="complete")


class GraphQL(AsyncSSEAPIView):
    end_event = COMPLETE

    async def post(self, request):
        async for word in words(request.data["variables"]["text"]):
            yield "next", {"data": {"word": word}}

    def format_error(self, exc):
        failed = ServerSentEvent({"errors": [{"message": "The model has failed."}]}, event="next")
        return failed.encode() + COMPLETE.encode()
