"""What followers of a ``RunView`` receive: formats, typed events, ends, errors, and what a run costs."""

import asyncio
import json
from collections import Counter

import pytest
from django.contrib.auth.models import User
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import PermissionDenied

from adrf_sse.brokers import get_broker
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.runs import follow, run_state, start_run
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import RunView

pytestmark = pytest.mark.usefixtures("broker")


class Numbers(RunView):
    """Yield three events."""

    authentication_classes = []

    async def run(self, request):
        for number in range(3):
            yield "number", {"n": number}


@pytest.fixture
def client_of(settings):
    def client_of(view_class=Numbers, **attributes):
        route = type("View", (view_class,), attributes).as_view()
        urlpatterns = [path("runs/", route), path("runs/<str:run_id>/", route)]
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": urlpatterns})
        return EventStreamClient()

    return client_of


async def post(client, **options):
    async with client.post("/runs/", **options) as stream:
        return stream.headers["Location"], await stream.body()


async def test_json_lines_have_the_events_and_the_end_once(client_of):
    client = client_of(renderer_classes=[EventStreamRenderer, JSONLinesRenderer])
    location, _ = await post(client)
    async with client.get(location, headers={"Accept": "application/jsonl"}) as stream:
        lines = [json.loads(line) for line in (await stream.body()).splitlines() if line.strip()]
    ids = [line.pop("id") for line in lines]
    assert lines == [*({"event": "number", "data": {"n": n}} for n in range(3)),
                     {"event": "end", "data": {"status": "completed"}}]  # fmt: skip
    assert ids == sorted(set(ids))


async def test_the_end_of_the_view_is_sent_once_in_each_format(client_of):
    client = client_of(renderer_classes=[EventStreamRenderer, JSONLinesRenderer], end_event=b"data: [DONE]\n\n")
    location, body = await post(client)
    assert body.count(b"[DONE]") == 1
    assert body.endswith(b"\ndata: [DONE]\n\n")
    async with client.get(location, headers={"Accept": "application/jsonl"}) as stream:
        assert (await stream.body()).count(b"[DONE]") == 1


async def test_events_are_serialized_once_by_the_producer(client_of):
    class Doubled(serializers.Serializer):
        n = serializers.SerializerMethodField()

        def get_n(self, data):
            return data["n"] * 2

    client = client_of(event_serializers={"number": Doubled})
    _, body = await post(client)
    assert [line for line in body.splitlines() if b'"n"' in line] == [b'data: {"n":%d}' % n for n in (0, 2, 4)]


async def test_the_view_formats_the_errors_of_its_runs(client_of):
    class Failing(Numbers):
        async def run(self, request):
            yield "a"
            raise PermissionDenied("no more")

        async def format_error(self, exc):
            return "oops", {"type": type(exc).__name__}

    location, body = await post(client_of(Failing))
    assert body.count(b"event: oops") == 1
    assert b'{"type":"PermissionDenied"}' in body
    assert body.endswith(b'event: end\ndata: {"status":"failed"}\n\n')
    assert (await run_state(location.split("/")[2]))["status"] == "failed"


async def test_the_first_frame_of_a_run_is_its_first_event(client_of):
    _, body = await post(client_of())
    assert body.split(b"\n")[1:3] == [b"event: number", b'data: {"n":0}']


class NamedUser(BaseAuthentication):
    allowed = True

    def authenticate(self, request):
        if not self.allowed:
            raise PermissionDenied
        return User(pk=1), None


async def test_a_follower_that_may_no_longer_read_is_disconnected_and_the_run_goes_on(client_of, monkeypatch):
    go_on = asyncio.Event()

    class Waiting(Numbers):
        authentication_classes = [NamedUser]
        reauthorize_interval = 0.05

        async def run(self, request):
            yield "a"
            await go_on.wait()

    client = client_of(Waiting)
    async with client.post("/runs/") as stream:
        run_id = stream.headers["Location"].split("/")[2]
        await stream.next()
        monkeypatch.setattr(NamedUser, "allowed", False)
        with pytest.raises(StreamEnded):
            await stream.next()
    assert (await run_state(run_id))["status"] == "running"
    go_on.set()
    assert [event.data async for event in follow(run_id)] == ["a", {"status": "completed"}]


async def test_events_that_are_yielded_together_are_published_together(monkeypatch):
    store = type(get_broker().runs)
    writes, write = [], store.write

    async def counted(self, command):
        writes.append(len(command.bodies))
        return await write(self, command)

    monkeypatch.setattr(store, "write", counted)

    async def source():
        for number in range(1000):
            yield number

    events = [event async for event in follow(await start_run(source()))]
    assert len(events) == 1001
    assert sum(writes) == 1000
    assert len(writes) <= 8


async def test_a_follower_in_a_stream_needs_no_task(client_of):
    go_on = asyncio.Event()

    class Waiting(Numbers):
        async def run(self, request):
            yield "a"
            await go_on.wait()

    client = client_of(Waiting)
    async with client.post("/runs/") as stream:
        await stream.next()
        location = stream.headers["Location"]

        async def names_with_follower():
            async with client.get(location) as follower:
                await follower.next()
                return sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())

        before = sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())
        added = Counter(await names_with_follower()) - Counter(before)  # others may have ended meanwhile
        assert not [name for name in added if "Pump" in name or "Follower" in name or "Watch" in name]
        go_on.set()
        await stream.body()
