"""The UI message stream of Vercel's AI SDK."""

from uuid import uuid4

from rest_framework.response import Response

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Chat(AsyncSSEAPIView):
    end_event = "[DONE]"

    async def post(self, request):
        prompt = request.data["messages"][-1]["parts"][0]["text"]
        return Response(chunks(prompt), headers={"X-Vercel-AI-UI-Message-Stream": "v1"})

    def format_error(self, exc):
        return {"type": "error", "errorText": "The model has failed."}


async def chunks(prompt):
    part = {"id": uuid4().hex}
    yield {"type": "start", "messageId": uuid4().hex}
    yield {"type": "text-start", **part}
    async for word in words(prompt):
        yield {"type": "text-delta", **part, "delta": word}
    yield {"type": "text-end", **part}
    yield {"type": "finish"}
