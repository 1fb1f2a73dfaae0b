"""LangGraph's stateless runs."""

from uuid import uuid4

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Runs(AsyncSSEAPIView):
    end_event = "end", None

    async def post(self, request):
        yield "metadata", {"run_id": str(uuid4()), "attempt": 1}
        text = ""
        async for word in words(request.data["input"]["text"]):
            text += word
            yield "values", {"text": text}

    def format_error(self, exc):
        return "error", {"error": "ModelError", "message": "The model has failed."}
