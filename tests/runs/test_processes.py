"""Runs that one process produces, and that this one follows and stops: stopped and killed processes, clocks, WSGI."""

import asyncio
import re
import signal

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import run_channel
from adrf_sse.runs import follow, run_state, stop_run
from tests.support.redis_server import use_redis
from tests.support.run_servers import run_server
from tests.support.runs import COMPLETED, LOST, STOPPED, all_of, contents

pytestmark = pytest.mark.server

DAY = 86_400


SLOW = pytest.mark.slow


@pytest.fixture(params=["redis", pytest.param("postgres", marks=SLOW)])
def url(request, settings):
    """The URL of the server that this process and others share."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_broker").url
    use_redis(settings, request.getfixturevalue("redis_url"))
    return request.getfixturevalue("redis_url")


def data_of(text):
    return re.findall(r"^data: (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "shift", [pytest.param(0, marks=SLOW), 2 * DAY, -2 * DAY], ids=["same clock", "clock ahead", "clock behind"]
)
async def test_a_run_is_followed_and_stopped_from_another_process(tmp_path, url, shift):
    with run_server(tmp_path, url, shift=shift, RUN_LEASE=120) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(30):
            script.put("a", "b")
            assert [(await anext(events)).data for _ in "ab"] == ["a", "b"]
            first = (await run_state(run_id))["started"]
            reading = asyncio.create_task(server.read(run_id))
            assert (await stop_run(run_id))["status"] == "stopped"
            await script.closed()  # long before the lease
            assert contents([event async for event in events]) == [STOPPED]
            assert data_of(await reading) == ["a", "b", '{"status":"stopped"}']
        whole, script = await server.start()
        async with asyncio.timeout(30):
            reading = asyncio.create_task(server.read(whole))
            script.put(*range(50), "end")
            expected = [*map(str, range(50)), '{"status":"completed"}']
            assert data_of(await reading) == expected
            assert data_of(await server.read(whole)) == expected
            async with follow(whole) as events:
                tenth = [await anext(events) for _ in range(10)][-1].id
            assert data_of(await server.read(whole, **{"Last-Event-ID": tenth})) == expected[10:]
        assert abs((await run_state(whole))["started"] - first).total_seconds() < 60


async def test_a_process_that_was_stopped_for_longer_than_its_lease_stops_writing(tmp_path, url):
    with run_server(tmp_path, url, RUN_LEASE=3) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(40):
            script.put("a")
            assert (await anext(events)).data == "a"
            server.process.send_signal(signal.SIGSTOP)
            try:
                rest = contents([event async for event in events])
                script.put("b", "c")
            finally:
                server.process.send_signal(signal.SIGCONT)
            assert [name for name, _ in rest] == ["error", "end"]
            assert rest[-1] == LOST
            await script.closed()
            await asyncio.to_thread(server.running.wait_for, f"The run {run_id} has ended, lost")
        page = await get_broker().read([run_channel(run_id)], 0, 100)
        assert contents(page.events) == [(None, "a"), *rest]
        assert (await run_state(run_id))["events"] == 1
        another, script = await server.start()
        script.put("x", "end")
        assert await all_of(another) == [(None, "x"), COMPLETED]


async def test_a_process_whose_event_loop_blocks_for_longer_than_its_lease_stops_writing(tmp_path, url):
    with run_server(tmp_path, url, RUN_LEASE=3) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events:
            script.put("a")
            assert (await anext(events)).data == "a"
        script.put("block 8", "b", "end")
        events = await all_of(run_id)
        assert [name for name, _ in events] == [None, "error", "end"]
        assert events[-1] == LOST
        await script.closed()
        assert await all_of(run_id) == events


async def test_followers_of_a_killed_process_receive_an_error_and_the_end(tmp_path, url):
    with run_server(tmp_path, url, RUN_LEASE=3) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, follow(run_id) as others, asyncio.timeout(40):
            script.put("a")
            assert (await anext(events)).data == (await anext(others)).data == "a"
            server.process.kill()
            rest = contents([event async for event in events])
            assert contents([event async for event in others]) == rest
        assert [name for name, _ in rest] == ["error", "end"]
        assert rest[0][1]["code"] == "run_lost"
        assert rest[-1] == LOST
        assert await all_of(run_id) == [(None, "a"), *rest]


@pytest.mark.parametrize("server", ["gunicorn sync", pytest.param("gunicorn gthread", marks=SLOW)])
async def test_a_run_under_wsgi_goes_on_after_the_response(tmp_path, url, server):
    with run_server(tmp_path, url, server, RUN_LEASE=120) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(40):
            script.put("a")
            assert (await anext(events)).data == "a"
            script.put("b", "end")
            assert contents([event async for event in events]) == [(None, "b"), COMPLETED]
        await script.closed()
        assert data_of(await server.read(run_id)) == ["a", "b", '{"status":"completed"}']
        run_id, script = await server.start()
        script.put("a")
        reading = asyncio.create_task(all_of(run_id))
        assert await server.stop(run_id) == 204
        await script.closed()
        assert (await reading)[-1] == STOPPED
        run_id, script = await server.start()
        await stop_run(run_id)
        await script.closed()
