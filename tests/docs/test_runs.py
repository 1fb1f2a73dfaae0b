"""The examples of ``docs/runs.md``."""

import asyncio
import sys
from functools import cache
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.urls import path
from rest_framework.authentication import BaseAuthentication

from adrf_sse.runs import produce, start_run
from adrf_sse.settings import validated
from tests.docs.examples import examples
from tests.docs.stand_ins import Conversation, model

JSON = {"Accept": "application/json"}


class NamedUser(BaseAuthentication):
    """Authenticate as the user whose primary key a header has."""

    def authenticate(self, request):
        return (User(pk=request.headers["X-User"]), None) if "X-User" in request.headers else None


@cache  # Celery warns of tasks that are defined again
def page():
    return examples("runs.md", Conversation=Conversation, model=model)


@pytest.fixture
def documented(settings, monkeypatch):
    if find_spec("django.tasks") is None:  # before Django 6
        tasks = ModuleType("django.tasks")
        tasks.task = lambda function: function
        monkeypatch.setitem(sys.modules, "django.tasks", tasks)
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    return page()


@pytest.fixture
def client(documented, settings, event_stream_client):
    """A client of user 1. ``client.serve()`` serves a documented view."""

    def serve(name):
        view = type(name, (documented[name],), {"authentication_classes": [NamedUser]}).as_view()
        patterns = [path("runs/", view), path("runs/<str:run_id>/", view)]
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": patterns})

    event_stream_client.credentials(HTTP_X_USER="1")
    event_stream_client.serve = serve
    return event_stream_client


async def start(client, data=None):
    async with client.post("/runs/", data or {"prompt": "a b"}, format="json") as stream:
        return stream.headers["Location"], [event async for event in stream]


def test_the_documented_test_of_a_run_passes(documented, settings, event_stream_client):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": documented["urlpatterns"]})
    documented["test_an_answer_goes_on_after_a_reload"](event_stream_client, User(pk=1))


def test_the_documented_settings_are_valid(documented):
    assert validated(documented["ADRF_SSE"])[1] == []


async def test_the_documented_permission_lets_the_owner_read_and_not_stop(client):
    client.serve("Import")
    url, _ = await start(client)
    async with client.get(url) as stream:
        assert stream.status_code == 200
    async with client.delete(url) as response:
        assert response.status_code == 403


async def test_the_documented_view_lets_others_follow_a_run(client, documented, settings):
    client.serve("SharedChat")
    run_id = await start_run(model("a b"), owner=2)
    async with client.get(f"/runs/{run_id}/") as stream:
        assert [event.data for event in await stream.take(3)] == ["a", "b", '{"status":"completed"}']
    async with client.get("/runs/unknown/") as response:
        assert response.status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_the_documented_run_has_the_id_of_its_conversation_and_is_saved(client, documented):
    user = await User.objects.acreate(pk=1, username="alice")
    chat = await Conversation.objects.acreate(user=user)
    client.serve("ChatAnswer")
    url, _ = await start(client, {"prompt": "a b", "chat": chat.pk})
    assert url == f"/runs/chat-{chat.pk}/"
    client.serve("SavedChat")
    await start(client)
    assert await Conversation.objects.filter(user=user, text="a b").aexists()


async def test_the_documented_end_replaces_the_status(client):
    client.serve("Completions")
    url, events = await start(client)
    assert [event.event for event in events] == [None, None, None]
    assert events[-1].data == "[DONE]"
    async with client.get(url, headers=JSON) as response:
        assert (await response.json())["status"] == "completed"


async def test_the_documented_time_limit_and_saved_answer_are_sources(client):
    client.serve("Report")
    _, events = await start(client)
    assert [event.event for event in events] == ["page", "end"]


@pytest.mark.parametrize(("name", "task"), [("CeleryChat", "answer"), ("TaskChat", "answer_task")])
async def test_the_documented_queue_receives_the_run(client, documented, monkeypatch, name, task):
    queue = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(run_id, prompt):
        loop.call_soon_threadsafe(queue.put_nowait, (run_id, prompt))

    monkeypatch.setitem(documented, task, SimpleNamespace(delay=put, enqueue=put))
    client.serve(name)
    async with client.post("/runs/", {"prompt": "a b"}, format="json") as stream:
        run_id, prompt = await queue.get()
        assert await produce(run_id, model(prompt)) == "completed"
        assert [event.data async for event in stream] == ["a", "b", '{"status":"completed"}']


async def test_the_documented_code_starts_and_follows_a_run(documented, capsys):
    state = await documented["summarize"](User(pk=1), "a b")
    assert (state["status"], state["events"]) == ("completed", 2)
    assert capsys.readouterr().out.splitlines() == ["None a", "None b", "end {'status': 'completed'}"]
