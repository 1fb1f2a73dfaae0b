"""What brokers do with runs in the order that an unreliable network can bring about."""

import asyncio

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.brokers.runs import NewRun, Write, run_channel
from adrf_sse.channels import publish
from tests.support.redis_server import use_redis

ENDINGS = {status: [b"!t" + f"data: {status}\n\n".encode()] for status in ("completed", "stopped", "failed", "lost")}


def new_run(run_id="r1", *, key=None, queued=False, lease=60.0, starter="p"):
    return NewRun(id=run_id, owner=None, starter=starter, queued=queued, lease=lease, endings=ENDINGS, key=key)


def write(*texts, after=0, status="running", producer="p"):
    bodies = [f"tdata: {text}\n\n".encode() for text in texts]
    return Write(id="r1", producer=producer, lease=60.0, after=after, bodies=bodies, status=status)


async def history(run_id="r1"):
    page = await get_broker().read([run_channel(run_id)], 0, 1000)
    return [event.data for event in page.events]


@pytest.fixture
def runs(broker):
    return get_broker().runs


async def test_a_write_that_arrives_twice_is_published_once(runs):
    await runs.create(new_run())
    for _ in range(2):
        assert (await runs.write(write("a", "b"))).events == 2
    for _ in range(2):
        assert (await runs.write(write("c", after=2, status="completed"))).status == "completed"
    assert await history() == ["a", "b", "c", "completed"]


async def test_a_write_that_arrives_again_after_the_next_one_is_not_published_again(runs):
    await runs.create(new_run())
    await runs.write(write("a"))
    await runs.write(write("b", "c", after=1))
    assert (await runs.write(write("a"))).events == 3
    await runs.write(write("d", after=3))
    assert await history() == ["a", "b", "c", "d"]


async def test_a_run_of_which_the_broker_has_lost_the_last_events_is_lost(runs):
    """Redis may come back with a state of some time ago, without the last events."""
    await runs.create(new_run())
    await runs.write(write("a"))
    assert (await runs.write(write("c", after=2))).status == "lost"
    assert await history() == ["a", "lost"]


async def test_a_write_of_another_producer_is_refused(runs):
    await runs.create(new_run())
    assert (await runs.write(write("x", producer="q"))).status == "lost"
    assert (await runs.write(write("a"))).status == "running"
    assert await history() == ["a"]


async def test_a_key_belongs_to_its_own_run_and_not_to_the_next_one_with_its_id(runs):
    await runs.create(new_run(key="k1"))
    await runs.end("r1", "stopped")
    assert (await runs.create(new_run(key="k2")))[1] == "new"
    assert (await runs.create(new_run("r2", key="k1")))[1] == "new"
    assert (await runs.create(new_run("r3", key="k2")))[0].id == "r1"


async def test_a_key_whose_run_is_gone_starts_a_new_run(settings, shared_redis, redis_url):
    """Redis may evict the run and keep the key."""
    use_redis(settings, redis_url)
    runs = get_broker().runs
    await runs.create(new_run(key="k1"))
    shared_redis.client.delete("{adrf_sse}:run:r1")
    async with asyncio.timeout(30):
        assert (await runs.create(new_run("r2", key="k1")))[1] == "new"


@pytest.fixture
def no_ttl(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_TTL": 1e-6, "RUN_LEASE": 1e-6}


async def test_runs_that_were_never_looked_at_again_are_removed(no_ttl):
    runs = MemoryBroker().runs
    for number in range(100):
        await runs.create(new_run(f"r{number}", key=f"k{number}", queued=True, lease=0.0))
    assert len(runs._kept) <= 2
    assert len(runs._by_key) <= 2


async def test_the_memory_of_runs_is_bounded():
    broker = MemoryBroker(max_bytes=100_000)
    for number in range(50):
        run = new_run(f"r{number}")
        await broker.runs.create(run)
        body = b"tdata: " + b"x" * 10_000 + b"\n\n"
        await broker.runs.write(Write(id=run.id, producer="p", lease=60.0, bodies=[body], status="completed"))
    kept = await broker.runs.all(1000)
    assert 5 <= len(kept) <= 10
    assert [run.id for run in kept] == [f"r{number}" for number in range(49, 49 - len(kept), -1)]
    assert broker.bytes_of_runs <= 100_000
    channels = {run_channel(run.id) for run in kept}
    assert set(broker._histories) == channels


async def test_a_run_that_is_active_is_kept_whole_whatever_memory_others_need(settings):
    settings.ADRF_SSE = {
        **settings.ADRF_SSE,
        "BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": {"max_bytes": 20_000}},
    }
    runs = get_broker().runs
    await runs.create(new_run())
    for number in range(100):
        await runs.write(write("x" * 1000, after=number))
        publish("news", "y" * 1000)
    assert len(await history()) == 100
