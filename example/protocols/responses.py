"""OpenAI's responses."""

import time
from itertools import count
from uuid import uuid4

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Responses(AsyncSSEAPIView):
    async def post(self, request):
        self.numbers = count()
        response = {
            "object": "response", "id": f"resp_{uuid4().hex}", "created_at": int(time.time()), "status": "in_progress",
            "model": request.data["model"], "output": [], "tools": [], "tool_choice": "auto",
            "parallel_tool_calls": True,
        }  # fmt: skip
        message = {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "content": []}
        place, text = {"item_id": message["id"], "output_index": 0, "content_index": 0}, ""
        yield self.event("response.created", response=response)
        yield self.event("response.output_item.added", output_index=0, item=message | {"status": "in_progress"})
        yield self.event("response.content_part.added", **place, part=output_text(text))
        async for word in words(request.data["input"]):
            text += word
            yield self.event("response.output_text.delta", **place, delta=word, logprobs=[])
        message |= {"status": "completed", "content": [output_text(text)]}
        yield self.event("response.completed", response=response | {"status": "completed", "output": [message]})

    def event(self, name, **data):
        return name, {"type": name, "sequence_number": next(self.numbers), **data}

    def format_error(self, exc):
        return self.event("error", code="server_error", message="The model has failed.", param=None)


def output_text(text):
    return {"type": "output_text", "text": text, "annotations": []}
