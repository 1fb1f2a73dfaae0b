"""Runs that a real Celery worker produces, and that other processes start, follow and stop."""

import asyncio
import json
import os
import signal
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest
from celery import Celery

from adrf_sse.runs import follow, run_state, stop_run
from adrf_sse.testing import EventParser
from tests.servers.test_servers import ROOT, UVICORN
from tests.support.redis_server import redis_server, use_redis
from tests.support.servers import run_worker, serve

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

TIMEOUT = 30
"""Seconds to wait for what another process does. A working one needs far less."""
LONG = 3600
"""A lease in seconds that is not renewed while a test runs: a producer learns of a stop only if it is told."""
SHORT = 1
"""A lease in seconds that passes while a test waits for it."""
WORKER = ["-m", "celery", "-A", "tests.project.celery_app", "worker", "--concurrency", "2", "--loglevel", "INFO"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
SOURCES = ["sync", "async", "async_to_sync", "sync, async_to_sync"]


def environment(redis, lease):
    return {
        "DJANGO_SETTINGS_MODULE": "tests.project.task_queue_settings",
        "TEST_REDIS_URL": redis.url,
        "TEST_ADRF_SSE": json.dumps({"RUN_LEASE": lease, "CLEANUP_TIMEOUT": 0.5}),
    }


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@contextmanager
def working(redis, queue="celery", lease=LONG, pool="prefork"):
    command = [*WORKER, "--pool", pool, "--queues", queue, "--hostname", f"{queue}@%h", *QUIET]
    with run_worker(command, " ready.", env=environment(redis, lease), cwd=ROOT) as worker:
        yield worker


@pytest.fixture(scope="module")
def worker(redis):
    """A worker with two processes."""
    with working(redis) as worker:
        yield worker


@pytest.fixture(scope="module")
def server(redis):
    """A server whose view hands its runs over to the workers."""
    with serve(UVICORN, env=environment(redis, LONG), cwd=ROOT) as server:
        yield server


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, timeout=TIMEOUT) as client:
        yield client


@pytest.fixture
def talk(settings, redis, http):
    """A function that starts a run through the view, and lets a worker produce it unless ``kind`` is ``None``."""
    use_redis(settings, redis.url)

    def talk(kind=None):
        body = {"id": f"{uuid4()}"} | ({} if kind is None else {"kind": kind})
        response = http.post("/talk/", json=body, headers={"Accept": "application/json"})
        assert response.status_code == 202
        return Talk(redis.client, http, body["id"])

    return talk


@pytest.fixture
def produce_again(redis):
    """A function that delivers a task for a run, and returns its result."""
    with Celery("client", broker=redis.url, backend=redis.url) as client:

        def produce_again(run, kind, queue="celery"):
            return client.send_task("tests.project.celery_app.produce_run", [run.id, kind], queue=queue)

        yield produce_again


class Talk:
    """A run whose source takes its items from a list in Redis, and notes there what it does."""

    def __init__(self, redis, http, run_id):
        self.id = run_id
        self.url = f"/talk/{run_id}/"
        self._redis = redis
        self._http = http

    def say(self, *items):
        self._redis.rpush(f"items:{self.id}", *items)

    async def noted(self, what):
        """Wait until the source has done something, and return the ID of its process."""
        found = await asyncio.to_thread(self._redis.blpop, f"notes:{self.id}", TIMEOUT)
        assert found, f"The source should have noted {what!r}."
        noted, process = found[1].decode().split()
        assert noted == what
        return int(process)

    def has_notes(self):
        return bool(self._redis.exists(f"notes:{self.id}"))

    async def delete(self):
        assert (await asyncio.to_thread(self._http.delete, self.url)).status_code == 204

    async def stop(self):
        await stop_run(self.id)

    async def events(self):
        """Read the run to its end in this process."""
        async with asyncio.timeout(TIMEOUT):
            return [(event.event, event.data) async for event in follow(self.id)]

    def streamed(self):
        """Read the run to its end through the server."""
        parser = EventParser()
        with self._http.stream("GET", self.url) as response:
            return [(event.event, event.data) for chunk in response.iter_bytes() for event in parser.feed(chunk)]

    async def first(self):
        """Wait for the first event."""
        async with asyncio.timeout(TIMEOUT), follow(self.id) as events:
            return (await anext(events)).data


async def result_of(result):
    return await asyncio.to_thread(result.get, timeout=TIMEOUT)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_worker_produces_the_run_of_a_view(talk, kind):
    run = talk(kind)
    assert await run.noted("opened") != os.getpid()
    followers = asyncio.gather(run.events(), asyncio.to_thread(run.streamed))
    run.say("a", "b")
    assert await run.first() == "a"
    run.say("end")
    here, served = await followers
    assert here == [("token", "a"), ("token", "b"), ("end", {"status": "completed"})]
    assert served == [("token", "a"), ("token", "b"), ("end", '{"status":"completed"}')]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("stop", ["delete", "stop"])
@pytest.mark.parametrize("kind", ["async", "async_to_sync"])
async def test_a_stop_closes_an_asynchronous_source_that_yields_nothing_meanwhile(talk, kind, stop):
    run = talk(kind)
    await run.noted("opened")
    run.say("a")
    await run.noted("got-a")
    await run.first()
    await getattr(run, stop)()
    await run.noted("closed")
    assert await run.events() == [("token", "a"), ("end", {"status": "stopped"})]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("stop", ["delete", "stop"])
@pytest.mark.parametrize("kind", ["sync", "sync, async_to_sync"])
async def test_a_stop_ends_followers_at_once_while_a_synchronous_source_blocks_and_drops_its_late_item(
    talk, worker, kind, stop
):
    run = talk(kind)
    await run.noted("opened")
    run.say("a")
    await run.noted("got-a")
    await run.first()
    await getattr(run, stop)()
    assert await run.events() == [("token", "a"), ("end", {"status": "stopped"})]
    await asyncio.to_thread(worker.wait_for, "did not stop within 0.5 s of being cancelled")
    assert not run.has_notes()  # it still blocks
    run.say("late", "later")
    await run.noted("got-late")
    await run.noted("closed")
    assert await run.events() == [("token", "a"), ("end", {"status": "stopped"})]
    assert (await run_state(run.id))["events"] == 1


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("kind", "names"), [("failing", ["token"]), ("failing at once", [])])
async def test_a_source_that_raises_fails_its_task_and_its_run(talk, produce_again, kind, names):
    run = talk()
    result = produce_again(run, kind)
    with pytest.raises(LookupError, match="a secret"):
        await result_of(result)
    assert result.state == "FAILURE"
    events = await run.events()
    assert [name for name, _ in events] == [*names, "error", "end"]
    assert events[-1] == ("end", {"status": "failed"})
    assert "secret" not in str(events)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_task_that_is_delivered_again_while_its_run_is_produced_starts_no_second_source(
    talk, produce_again, kind
):
    run = talk(kind)
    await run.noted("opened")
    again = produce_again(run, kind)
    with pytest.raises(Exception, match=f"The run {run.id} is already produced by another worker") as refused:
        await result_of(again)
    assert type(refused.value).__name__ == "RunConflict"
    assert not run.has_notes()
    run.say("a", "end")
    assert await run.events() == [("token", "a"), ("end", {"status": "completed"})]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_task_that_is_delivered_again_after_its_run_has_ended_does_nothing_and_says_so(
    talk, worker, produce_again, kind
):
    run = talk(kind)
    run.say("a", "end")
    before = await run.events()
    for what in ("opened", "got-a", "closed"):
        await run.noted(what)
    assert await result_of(produce_again(run, kind)) == "completed"
    assert not run.has_notes()
    assert await run.events() == before
    message = f"Nothing is produced for the run {run.id}, because it has already ended: completed."
    await asyncio.to_thread(worker.wait_for, message)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_task_of_a_run_that_was_stopped_before_it_began_does_nothing(talk, worker, produce_again, kind):
    run = talk()
    assert (await run_state(run.id))["status"] == "queued"
    await run.delete()
    assert await result_of(produce_again(run, kind)) == "stopped"
    assert not run.has_notes()
    assert await run.events() == [("end", {"status": "stopped"})]
    await asyncio.to_thread(worker.wait_for, f"the run {run.id}, because it has already ended: stopped.")


@pytest.mark.usefixtures("worker")
async def test_a_task_without_a_run_fails(talk, produce_again):
    run = talk()
    run.id = "unknown"
    with pytest.raises(Exception, match="not found"):
        await result_of(produce_again(run, "async"))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_killed_worker_makes_its_run_lost_for_all_followers(talk, redis, produce_again, kind):
    with working(redis, "short", SHORT):
        run = talk()
        produce_again(run, kind, "short")
        process = await run.noted("opened")
        followers = asyncio.gather(run.events(), asyncio.to_thread(run.streamed))
        run.say("a")
        assert await run.first() == "a"
        os.kill(process, signal.SIGKILL)
        for events in await followers:
            assert [name for name, _ in events] == ["token", "error", "end"]
            assert "run_lost" in str(events[1])
        assert (await run_state(run.id))["status"] == "lost"
        with pytest.raises(Exception, match=f"The run {run.id} was lost before"):
            await result_of(produce_again(run, kind, "short"))


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["solo", "threads"])
async def test_a_stop_reaches_workers_of_other_pools(talk, redis, produce_again, pool):
    with working(redis, pool, pool=pool):
        for kind in ("async", "sync"):
            run = talk()
            result = produce_again(run, kind, pool)
            await run.noted("opened")
            run.say("a")
            await run.noted("got-a")
            await run.first()
            await run.delete()
            assert await run.events() == [("token", "a"), ("end", {"status": "stopped"})]
            if kind == "sync":
                run.say("late")
                await run.noted("got-late")
            await run.noted("closed")
            assert await result_of(result) == "stopped"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_time_limit_of_the_queue_ends_the_run_and_closes_its_source(talk, produce_again, kind):
    run = talk()
    result = produce_again(run, kind)
    process = await run.noted("opened")
    run.say("a")
    await run.noted("got-a")
    await run.first()
    os.kill(process, signal.SIGUSR1)  # as Celery does when the soft time limit has passed
    assert [name for name, _ in await run.events()] == ["token", "error", "end"]
    assert await run.noted("closed") == process
    with pytest.raises(Exception, match=r"SoftTimeLimitExceeded"):
        await result_of(result)
    # The exception is raised in the source where that runs in the interrupted thread.
    assert (await run_state(run.id))["status"] in ({"lost"} if kind == "async" else {"failed", "lost"})
