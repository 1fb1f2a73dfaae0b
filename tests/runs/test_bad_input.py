"""Sources that misbehave, clients that leave at any moment, and readers that are slow: nothing is left behind."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import rest_framework
from django.core.asgi import get_asgi_application
from django.urls import path

from adrf_sse.brokers import get_broker
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels.hub import hub_of
from adrf_sse.exceptions import RunConflict, SubscriberLagged, TooManyRuns
from adrf_sse.runs import follow, produce, run_state, start_run, stop_run
from adrf_sse.runs.begin import Start
from adrf_sse.runs.local import count_runs
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import ChannelStreamView, RunView
from tests.servers.test_servers import ROOT
from tests.support.runs import COMPLETED, LOST, STOPPED, Gate, all_of, contents, slots_to_come_back, words

JSON = {"Accept": "application/json"}


def with_settings(settings, **values):
    settings.ADRF_SSE = {**settings.ADRF_SSE, **values}


class Chat(RunView):
    """Yield the words of the prompt; stop before the second one until ``go_on`` is set."""

    authentication_classes = []

    async def run(self, request, *args, **kwargs):
        self.started.append(request.data["prompt"])
        try:
            for number, word in enumerate(request.data["prompt"].split()):
                if number:
                    await self.go_on.wait()
                yield word
        finally:
            self.closed.set()


class AwaitedChat(Chat):
    """Return the source after a while, as a coroutine function does that first waits for a model's service."""

    async def run(self, request, *args, **kwargs):
        self.started.append(request.data["prompt"])
        await asyncio.sleep(0.001)
        return words(*request.data["prompt"].split())


class BlockingChat(Chat):
    """Return the source from a thread."""

    def run(self, request, *args, **kwargs):
        self.started.append(request.data["prompt"])
        return iter(request.data["prompt"].split())


class ChatWithID(Chat):
    def get_run_id(self, request):
        return "c1"


@pytest.fixture
def chat(chat_client, broker):
    """A function that returns a client of a view at ``/chat/``."""
    return lambda view_class=Chat, **attributes: chat_client(view_class, **attributes)


def start(client, prompt="a b", **headers):
    return client.post("/chat/", {"prompt": prompt}, format="json", headers=headers)


async def data_of(stream):
    return [event.data async for event in stream]


ANSWER = ["a", "b", '{"status":"completed"}']


# The failures of others


@pytest.mark.parametrize("view", [Chat, ChatWithID])
async def test_two_tabs_get_one_answer(chat, view):
    client = chat(view)
    answered = asyncio.Queue()

    async def tab(**headers):
        async with start(client, **headers) as stream:
            answered.put_nowait(stream.status_code)
            if stream.status_code == 200:
                return await data_of(stream)
            location = stream.headers["Location"]
        async with client.get(location) as stream:
            return await data_of(stream)

    key = {"Idempotency-Key": "k"} if view is Chat else {}
    tabs = [asyncio.create_task(tab(**key)) for _ in range(5)]
    statuses = [await answered.get() for _ in tabs]
    client.view.go_on.set()
    assert await asyncio.gather(*tabs) == [ANSWER] * 5
    assert client.view.started == ["a b"]
    assert sorted(statuses) == ([200] * 5 if view is Chat else [200, 409, 409, 409, 409])


async def test_a_reconnect_starts_no_second_run(chat):
    client = chat()
    async with start(client, **{"Idempotency-Key": "k"}) as stream:
        location, first = stream.headers["Location"], await stream.next()
    async with (
        start(client, **{"Idempotency-Key": "k", "Last-Event-ID": first.id}) as again,
        client.get(location, headers={"Last-Event-ID": first.id}) as rest,
    ):
        assert again.headers["Location"] == location
        client.view.go_on.set()
        assert await data_of(rest) == ANSWER[1:]
        assert await data_of(again) == ANSWER[1:]
    assert client.view.started == ["a b"]
    assert len(await get_broker().runs.all(10)) == 1


async def failing():
    yield "a"
    raise OSError


@pytest.mark.parametrize("end", ["completed", "failed", "stopped", "lost"])
async def test_readers_end_when_the_run_has_ended(broker, settings, end):
    gate = Gate()
    source = failing() if end == "failed" else gate.source()
    run_id = await start_run(source)
    early = asyncio.create_task(all_of(run_id))
    gate.put("a")
    async with follow(run_id) as events:
        await anext(events)
    if end in ("stopped", "lost"):
        await get_broker().runs.end(run_id, end)
    gate.put(None)
    whole = await early
    assert whole[-1] == ("end", {"status": end})
    for _ in range(3):
        assert await all_of(run_id) == whole
    await stop_run(run_id)
    assert await all_of(run_id) == whole


async def test_a_stop_button_stops_the_model_and_not_the_reader_only(chat):
    client = chat()
    async with start(client) as stream:
        location = stream.headers["Location"]
        await stream.next()
    assert not client.view.closed.is_set()  # a reader that leaves stops nothing
    async with client.get(location) as stream:
        async with client.delete(location) as response:
            assert response.status_code == 204
        await asyncio.wait_for(client.view.closed.wait(), 30)
        assert await data_of(stream) == ["a", '{"status":"stopped"}']


# Clients that leave


async def post_and_leave(application, leave_after, headers):
    """Send a POST, and leave after some turns of the event loop, or after some seconds."""
    left = asyncio.Event()
    body = json.dumps({"prompt": "a b"}).encode()
    messages = [{"type": "http.request", "body": body}]

    async def receive():
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    given = {"content-type": "application/json", "content-length": str(len(body)), "host": "test", **headers}
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/chat/", "raw_path": b"/chat/",
        "query_string": b"", "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1), "server": ("test", 80), "scheme": "http", "asgi": {"version": "3.0"},
    }  # fmt: skip
    serving = asyncio.create_task(application(scope, receive, send))
    if isinstance(leave_after, int):
        for _ in range(leave_after):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(leave_after)
    left.set()
    await serving


@pytest.mark.parametrize("view", [Chat, AwaitedChat, BlockingChat])
async def test_a_client_that_leaves_at_any_moment_of_its_post_leaves_nothing_that_waits(chat, view):
    client = chat(view)
    client.view.go_on.set()
    application = get_asgi_application()
    runs = get_broker().runs
    seed = random.randrange(10**6)
    print("seed", seed)
    choose = random.Random(seed)
    for number in range(60):
        key = {"Idempotency-Key": f"k{number}"}
        leave_after = choose.choice([choose.randrange(60), choose.uniform(0, 0.02)])
        await post_and_leave(application, leave_after, key | choose.choice([{}, JSON]))
        assert "queued" not in {run.status for run in await runs.all(10)}, leave_after
        async with start(client, **key) as stream:
            assert await data_of(stream) == ANSWER
    await slots_to_come_back()
    assert {run.status for run in await runs.all(1000)} == {"completed"}
    assert subscriber_counts() == {}
    assert len(client.view.started) <= 120


async def test_a_start_from_code_that_is_cancelled_leaves_no_run_that_waits(broker):
    for turns in range(30):
        gate = Gate()
        gate.put("a", None)
        starting = asyncio.create_task(start_run(gate.source(), run_id="c1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        run = await get_broker().runs.read("c1")
        if run is not None and run.is_active:
            assert (await all_of("c1"))[-1] == COMPLETED
    await slots_to_come_back()
    assert await all_of(await start_run(words("a"), run_id="c1")) == [(None, "a"), COMPLETED]


JSON_IS_LIMITED = tuple(map(int, rest_framework.VERSION.split(".")[:2])) >= (3, 18)


@pytest.mark.parametrize("format", ["json", "multipart"] if JSON_IS_LIMITED else ["multipart"])
async def test_a_body_over_djangos_limit_leaves_no_run(chat, settings, format):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    client = chat()
    async with client.post("/chat/", {"prompt": "x" * 1000}, format=format) as response:
        assert response.status_code in (400, 413)
    assert client.view.started == []
    assert count_runs() == 0
    assert await get_broker().runs.all(10) == []


# Sources that misbehave


async def test_a_source_that_yields_after_it_was_stopped_is_not_heard(broker):
    closed = asyncio.Event()

    async def talkative():
        try:
            yield "a"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield "late"
            yield "later"
        finally:
            closed.set()

    run_id = await start_run(talkative())
    async with follow(run_id) as events:
        await anext(events)
    await stop_run(run_id)
    await asyncio.wait_for(closed.wait(), 30)
    await slots_to_come_back()
    assert await all_of(run_id) == [(None, "a"), STOPPED]


async def test_a_source_that_ignores_its_cancellation_keeps_neither_a_reader_nor_a_slot(broker, settings, caplog):
    with_settings(settings, CLEANUP_TIMEOUT=0.1)
    release = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn():
        yield "a"
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        ended.set()

    run_id = await start_run(stubborn())
    async with follow(run_id) as events:
        await anext(events)
        await stop_run(run_id)
        async with asyncio.timeout(30):
            assert contents([event async for event in events]) == [STOPPED]
    await slots_to_come_back()
    assert "did not stop within 0.1 s" in caplog.text
    release.set()
    await asyncio.wait_for(ended.wait(), 30)


async def test_a_synchronous_source_that_blocks_keeps_neither_a_reader_nor_a_slot(broker, settings):
    with_settings(settings, CLEANUP_TIMEOUT=0.1, RUN_LEASE=0.6)
    release, ended = threading.Event(), threading.Event()

    def blocking():
        try:
            yield "a"
            release.wait(60)
            yield "b"
        finally:
            ended.set()

    run_id = await start_run(blocking())
    try:
        async with follow(run_id) as events, asyncio.timeout(30):
            await anext(events)
            await asyncio.sleep(1.5)
            assert (await run_state(run_id))["status"] == "running"  # the lease is renewed meanwhile
            await stop_run(run_id)
            assert contents([event async for event in events]) == [STOPPED]
        await slots_to_come_back()
    finally:
        release.set()
    await asyncio.to_thread(ended.wait, 30)


async def at_once():
    raise OSError
    yield


async def too_much():
    while True:
        yield "x" * 1000


async def cancelling_itself():
    yield "a"
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


SOURCES = [lambda: words("a"), lambda: iter("ab"), failing, at_once, too_much, lambda: words(object()),
           cancelling_itself]  # fmt: skip


async def test_slots_always_come_back(broker, settings, caplog):
    with_settings(settings, MAX_RUNS=4, RUN_MAX_SIZE=50_000)
    choose = random.Random(1)
    ends = set()
    for _ in range(5):
        for new in SOURCES:
            while True:
                with suppress(TooManyRuns):
                    run_id = await start_run(new())
                    break
                await asyncio.sleep(0.001)
            if choose.random() < 0.3:
                await stop_run(run_id)
            ends.add((await all_of(run_id))[-1][1]["status"])
        with suppress(TypeError, TooManyRuns):
            await start_run(7)
        with suppress(ValueError, TooManyRuns):
            await start_run(words("a"), run_id="a b")
    assert ends >= {"completed", "failed"}
    assert ends <= {"completed", "failed", "stopped"}
    await slots_to_come_back()


async def test_a_conflict_closes_the_source_and_gives_back_its_slot(broker):
    gate = Gate()
    await start_run(gate.source(), run_id="c1")
    for _ in range(10):
        with pytest.raises(RunConflict):
            await start_run(words("a"), run_id="c1")
    assert count_runs() == 1
    await stop_run("c1")
    await slots_to_come_back()


async def test_a_worker_that_is_cancelled_loses_its_run_at_once(broker, settings):
    with_settings(settings, RUN_LEASE=300)
    await Start(run_id="r1").create(queued=True)
    gate = Gate()
    working = asyncio.create_task(produce("r1", gate.source()))
    follower = asyncio.create_task(all_of("r1"))
    await gate.started.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert gate.closed.is_set()
    assert (await follower)[-1] == LOST


async def test_a_producer_that_is_cancelled_twice_closes_its_source(broker, settings):
    with_settings(settings, RUN_LEASE=300)
    for turns in range(12):
        await Start(run_id=f"r{turns}").create(queued=True)
        gate = Gate()
        working = asyncio.create_task(produce(f"r{turns}", gate.source()))
        await gate.started.wait()
        working.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        await asyncio.wait_for(gate.closed.wait(), 30)


# Readers that are slow


async def test_a_slow_reader_does_not_slow_the_run_and_resumes(broker, settings):
    with_settings(settings, MAX_SUBSCRIBER_BACKLOG=10)
    gate = Gate()
    run_id = await start_run(gate.source())
    received = []
    async with follow(run_id) as events:
        gate.put(0)
        received.append(await anext(events))
        gate.put(*range(1, 1000), None)
        await slots_to_come_back()  # the run has completed, although nobody reads
        assert (await run_state(run_id))["status"] == "completed"
        with suppress(SubscriberLagged):
            async for event in events:
                received.append(event)
    while True:
        with suppress(SubscriberLagged):
            received += [event async for event in follow(run_id, received[-1].id)]
            break
    assert contents(received) == [*((None, number) for number in range(1000)), COMPLETED]


async def test_a_slow_reader_of_a_run_does_not_go_on_with_the_next_run_of_the_same_id(broker):
    await start_run(words(*range(500)), run_id="c1")
    await all_of("c1")
    async with follow("c1") as events:
        before = [await anext(events)]
        await start_run(words("b"), run_id="c1")
        assert await all_of("c1") == [(None, "b"), COMPLETED]
        async with asyncio.timeout(30):
            before += [event async for event in events]
    numbers = contents(before[:-2])
    assert numbers == [(None, number) for number in range(len(numbers))]
    assert [event.event for event in before[-2:]] == ["error", "end"]
    assert before[-1].data == {"status": "lost"}
    assert await all_of("c1", before[0].id) == [(None, "b"), COMPLETED]


async def test_a_follower_of_a_silent_run_survives_a_resync(broker, settings):
    """Events of other channels, and of times before, are no sign of another run."""
    with_settings(settings, CHANNEL_TTL=0.001)
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        for number in range(3):
            for text in "xyz":
                await apublish("news", text)
            hub_of(get_broker()).resync()
            gate.put(number)
            assert (await anext(events)).data == number
        gate.put(None)
        assert contents([event async for event in events]) == [COMPLETED]


async def test_the_history_of_other_channels_and_runs_do_not_touch_each_other(broker, settings):
    with_settings(settings, CHANNEL_HISTORY=5)
    gate = Gate()
    run_id = await start_run(gate.source())
    for number in range(100):
        gate.put(number)
        await apublish("news", number)
    gate.put(None)
    assert await all_of(run_id) == [*((None, number) for number in range(100)), COMPLETED]
    page = await get_broker().read(["news"], 0, 100)
    assert [event.data for event in page.events] == list(range(95, 100))


# Channels of runs


@pytest.mark.parametrize("name", ["adrf-sse.run:r1", "adrf-sse.run:"])
async def test_user_code_can_neither_publish_nor_subscribe_to_the_channel_of_a_run(broker, settings, name):
    for call in (lambda: publish(name, 1), lambda: subscribe("news", name)):
        with pytest.raises(ValueError, match=r"must not begin with 'adrf-sse\.run:', as the channels of runs do"):
            call()
    with pytest.raises(ValueError, match="Follow a run with"):
        await apublish(name, 1)

    class Any(ChannelStreamView):
        def get_channels(self):
            return [self.request.query_params["channel"]]

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Any.as_view())]})
    async with EventStreamClient().get(f"/?channel={name}") as response:
        assert response.status_code == 400


# The end of an event loop


SCRIPT = """
import asyncio
import django
django.setup()
from adrf_sse.runs import follow, start_run

async def source():
    try:
        yield "a"
        await asyncio.Event().wait()
    finally:
        print("closed", flush=True)

async def main():
    run_id = await start_run(source())
    print(run_id, flush=True)
    async with follow(run_id) as events:
        await anext(events)

asyncio.run(main())
"""


async def test_an_event_loop_that_ends_with_a_run_ends_it_cleanly(broker, settings, request):
    port = request.getfixturevalue("shared_postgres").port if broker == "postgres" else ""
    environment = {
        **os.environ,
        "TEST_EVENTS_PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "TEST_ADRF_SSE": json.dumps({**settings.ADRF_SSE, "RUN_LEASE": 300}),
    }
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", SCRIPT]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    run_id, closed = done.stdout.split()
    assert closed == "closed"
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]  # slowly
    assert len(lines) == 1
    assert lines[0].startswith(f"The run {run_id} has ended, lost")
    if broker != "memory":
        assert (await all_of(run_id))[-1] == LOST
