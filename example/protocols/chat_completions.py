"""OpenAI's chat completions."""

import time
from uuid import uuid4

from rest_framework.response import Response

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class ChatCompletions(AsyncSSEAPIView):
    end_event = "[DONE]"

    async def post(self, request):
        prompt = request.data["messages"][-1]["content"]
        answer = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": request.data["model"]}
        if request.data.get("stream"):
            return self.chunks(answer | {"object": "chat.completion.chunk"}, words(prompt))
        message = {"role": "assistant", "content": "".join([word async for word in words(prompt)])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Response(answer | {"object": "chat.completion", "choices": [choice]})

    async def chunks(self, answer, words):
        async for word in words:
            yield answer | {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
        yield answer | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    def format_error(self, exc):
        return {"error": {"type": "server_error", "code": None, "message": "The model has failed."}}
