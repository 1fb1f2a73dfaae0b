"""Runs: their views, and runs in code."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, assert_type

from django.contrib.auth.models import User
from django.dispatch import receiver
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from adrf_sse.exceptions import RunConflict, RunLost, RunNotFound, RunTooLarge, ServerStopping, TooManyRuns
from adrf_sse.runs import Follower, RunState, follow, produce, produce_sync, run_state, start_run, stop_run
from adrf_sse.signals import run_ended, run_started
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import AsyncSSEAPIView, RunView


async def model(prompt: str) -> AsyncIterator[str]:
    for word in prompt.split():
        yield word


class Chat(RunView):
    permission_classes = [IsAuthenticated]
    end_event = "[DONE]"

    async def run(self, request: Request, chat_id: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
        async for token in model(str(request.query_params["prompt"])):
            yield "token", {"text": token}

    async def get_run_id(self, request: Request) -> str | None:
        return request.query_params.get("id")


class Report(RunView):
    def run(self, request: Request) -> Iterator[str]:
        yield "a"

    def get_run_id(self, request: Request) -> str:
        return f"report-{request.user.pk}"

    def get_run_url(self, request: Request, run_id: str) -> str:
        return f"/reports/{run_id}/"


class Returned(RunView):
    async def run(self, request: Request) -> AsyncIterator[str]:
        return model("a b")


class Queued(RunView):
    async def start(self, request: Request, run_id: str) -> None:
        print(run_id, request.data)


class QueuedByPlainMethod(RunView):
    def start(self, request: Request, run_id: str) -> None:
        print(run_id, request.data)


class MayStop(BasePermission):
    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        return request.method == "GET"


class Follow(AsyncSSEAPIView):
    async def get(self, request: Request, run_id: str) -> Follower:
        return follow(run_id, self.last_event_id)


async def begin(user: User) -> RunState | None:
    try:
        run_id = await start_run(model("a b"), owner=user, run_id="chat-1", error_event="failure")
    except (RunConflict, TooManyRuns, ServerStopping) as exc:
        print(exc.default_code)
        return None
    assert_type(run_id, str)
    async for event in follow(run_id):
        print(event.event, event.data)
    state = await run_state(run_id)
    assert_type(state["started"], datetime | None)
    assert_type(state["events"], int)
    return state


async def stop(run_id: str) -> bool:
    try:
        state = await stop_run(run_id)
    except RunNotFound:
        return False
    return state["status"] == "stopped"


async def worker(run_id: str) -> str:
    try:
        return await produce(run_id, model("a b"))
    except (RunLost, RunTooLarge):
        return "lost"


def task(run_id: str) -> None:
    assert_type(produce_sync(run_id, model("a b"), error_event="failure"), str)


@receiver(run_started)
def count_started(sender: type, run_id: str, **kwargs: Any) -> None:
    print(run_id)


@receiver(run_ended)
def count_ended(sender: type, run_id: str, status: str, duration: float, **kwargs: Any) -> None:
    print(run_id, status, duration)


async def follows(client: EventStreamClient) -> None:
    async with client.post("/chat/", {"prompt": "a b"}) as stream:
        print(stream.headers["Location"])
