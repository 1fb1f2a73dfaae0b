"""AG-UI, the protocol between agents and user interfaces."""

from uuid import uuid4

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


class Agent(AsyncSSEAPIView):
    async def post(self, request):
        run = {"threadId": request.data["threadId"], "runId": request.data["runId"]}
        message = {"messageId": uuid4().hex}
        yield {"type": "RUN_STARTED", **run}
        yield {"type": "TEXT_MESSAGE_START", "role": "assistant", **message}
        async for word in words(request.data["messages"][-1]["content"]):
            yield {"type": "TEXT_MESSAGE_CONTENT", "delta": word, **message}
        yield {"type": "TEXT_MESSAGE_END", **message}
        yield {"type": "RUN_FINISHED", **run}

    def format_error(self, exc):
        return {"type": "RUN_ERROR", "code": "model", "message": "The model has failed."}
