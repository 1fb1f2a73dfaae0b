"""A2A, the protocol between agents: an agent's card, and its answers to streaming messages."""

from uuid import uuid4

from django.http import JsonResponse

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words


def agent_card(request):
    url = request.build_absolute_uri("/protocols/a2a")
    interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = {"name": "Words", "description": "Repeats a text.", "version": "1", "supportedInterfaces": [interface]}
    lists = {"defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"], "skills": []}
    return JsonResponse(card | lists | {"capabilities": {"streaming": True}})


class Agent(AsyncSSEAPIView):
    async def post(self, request):
        text = request.data["params"]["message"]["parts"][0]["text"]
        task = {"taskId": uuid4().hex, "contextId": uuid4().hex}
        working, completed = {"state": "TASK_STATE_WORKING"}, {"state": "TASK_STATE_COMPLETED"}
        yield self.answer(result={"task": {"id": task["taskId"], "contextId": task["contextId"], "status": working}})
        async for word in words(text):
            artifact = {"artifactId": "answer", "parts": [{"text": word}]}
            yield self.answer(result={"artifactUpdate": {**task, "artifact": artifact, "append": True}})
        yield self.answer(result={"statusUpdate": {**task, "status": completed}})

    def answer(self, **content):
        return {"jsonrpc": "2.0", "id": self.request.data["id"], **content}

    def format_error(self, exc):
        return self.answer(error={"code": -32603, "message": "The model has failed."})
