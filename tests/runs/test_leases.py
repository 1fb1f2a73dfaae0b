"""Leases: a run whose producer has died, was stopped or could not reach the broker is lost, and nobody waits for it."""

import asyncio
import time

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import Write
from adrf_sse.exceptions import RunLost
from adrf_sse.runs import follow, produce, run_state, start_run, stop_run
from adrf_sse.runs.begin import Start
from tests.support.runs import COMPLETED, LOST, STOPPED, Gate, all_of, slots_to_come_back, words

LEASE = 1.0

pytestmark = pytest.mark.usefixtures("broker")


@pytest.fixture
def short_lease(broker, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_LEASE": LEASE}


async def queued(run_id="r1", key=None):
    """Create a run that waits for a producer."""
    start = Start(run_id=run_id, key=key)
    _, created = await start.create(queued=True)
    assert created == "new"
    return start


async def claimed(run_id="r1"):
    """Create a run whose producer has died after its first event."""
    await queued(run_id)
    runs = get_broker().runs
    await runs.claim(run_id, "dead", LEASE)
    write = Write(id=run_id, producer="dead", lease=LEASE, bodies=[b"tdata: a\n\n"])
    assert await runs.write(write) is not None
    return run_id


def names(events):
    return [name for name, _ in events]


async def test_a_dead_producer_leaves_no_reader_waiting(short_lease):
    run_id = await claimed()
    events = await asyncio.gather(all_of(run_id), all_of(run_id))
    assert events[0] == events[1]
    assert names(events[0]) == [None, "error", "end"]
    assert events[0][-1] == LOST
    assert (await run_state(run_id))["status"] == "lost"


async def test_a_producer_that_dies_soon_after_it_has_begun_a_queued_run_leaves_no_reader_waiting(
    short_lease, settings
):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_START_TIMEOUT": 600}
    await queued()
    async with follow("r1") as events:  # while it is queued
        await get_broker().runs.claim("r1", "dead", LEASE)
        async with asyncio.timeout(30):
            assert names([(event.event, event.data) async for event in events]) == ["error", "end"]


async def test_a_lost_producer_does_not_end_the_next_run_with_its_id(short_lease):
    """It was stopped for longer than its lease, and then cancelled by a shutdown, while another one has the ID."""
    gate = Gate()
    await queued()
    old = asyncio.create_task(produce("r1", gate.source()))
    await gate.started.wait()
    await get_broker().runs.end("r1", "lost")
    new = Gate()
    await queued()
    producing = asyncio.create_task(produce("r1", new.source()))
    await new.started.wait()
    old.cancel()
    with pytest.raises((asyncio.CancelledError, RunLost)):
        await old
    assert gate.closed.is_set()
    new.put("b", None)
    assert await producing == "completed"
    assert await all_of("r1") == [(None, "b"), COMPLETED]


async def test_a_blocked_event_loop_loses_its_run(short_lease, caplog):
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        gate.put("a")
        assert (await anext(events)).data == "a"
        time.sleep(2 * LEASE)  # noqa: ASYNC251
        gate.put("b", None)
        async with asyncio.timeout(30):
            rest = [(event.event, event.data) async for event in events]
    assert names(rest) == ["error", "end"]
    assert rest[-1] == LOST
    await asyncio.wait_for(gate.closed.wait(), 30)
    await slots_to_come_back()
    assert "lost" in caplog.text
    assert await all_of(run_id) == [(None, "a"), *rest]


async def test_a_source_that_prepares_for_longer_than_the_lease_is_not_lost(short_lease):
    async def slow():
        await asyncio.sleep(3 * LEASE)
        return words("a")

    assert await all_of(await start_run(slow())) == [(None, "a"), COMPLETED]


async def test_a_source_that_never_yields_keeps_its_lease(short_lease):
    gate = Gate()
    run_id = await start_run(gate.source())
    follower = asyncio.create_task(all_of(run_id))
    await asyncio.sleep(3 * LEASE)
    assert (await run_state(run_id))["status"] == "running"
    await stop_run(run_id)
    assert await follower == [STOPPED]
    await asyncio.wait_for(gate.closed.wait(), 30)
