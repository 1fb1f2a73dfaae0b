"""Anthropic's messages."""

from uuid import uuid4

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Messages(AsyncSSEAPIView):
    async def post(self, request):
        message = {
            "id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": request.data["model"],
            "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0},
        }  # fmt: skip
        number = 0
        yield event("message_start", message=message)
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        async for word in words(request.data["messages"][-1]["content"]):
            number += 1
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        yield event("content_block_stop", index=0)
        ending = {"stop_reason": "end_turn", "stop_sequence": None}
        yield event("message_delta", delta=ending, usage={"output_tokens": number})
        yield event("message_stop")

    def format_error(self, exc):
        return event("error", error={"type": "api_error", "message": "The model has failed."})


def event(name, **data):
    return name, {"type": name, **data}
