"""Active runs when their server stops: they have ``RUN_GRACE`` seconds, and are lost then, at once."""

import asyncio
import signal

import pytest

from adrf_sse.runs import follow, run_state
from tests.support.redis_server import use_redis
from tests.support.run_servers import run_server
from tests.support.runs import COMPLETED, LOST, all_of, contents

pytestmark = pytest.mark.server

LEASE = 300


@pytest.fixture(autouse=True)
def shared(settings, redis_url):
    use_redis(settings, redis_url)


async def exited(server):
    assert await asyncio.to_thread(server.process.wait, 30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_without_grace_the_server_exits_and_followers_elsewhere_learn_at_once(tmp_path, redis_url, number):
    with run_server(tmp_path, redis_url, RUN_LEASE=LEASE) as server:
        runs = [await server.start() for _ in range(3)]
        readers = [asyncio.create_task(all_of(run_id)) for run_id, _ in runs]
        for run_id, script in runs:
            script.put("a")
            async with follow(run_id) as events:
                await anext(events)
        server.process.send_signal(number)
        for run_id, script in runs:
            await script.closed()
            assert (await readers.pop(0))[-1] == LOST
            assert (await run_state(run_id))["status"] == "lost"
        assert await asyncio.to_thread(server.process.wait, 30) in (0, -number)
        assert "Traceback" not in server.running.output


async def test_with_grace_the_run_completes_and_no_run_starts_meanwhile(tmp_path, redis_url):
    with run_server(tmp_path, redis_url, RUN_LEASE=LEASE, RUN_GRACE=50) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(40):
            reading = asyncio.create_task(server.read(run_id))
            script.put("a")
            assert (await anext(events)).data == "a"
            server.process.terminate()
            text = await reading  # ends, because its client has to reconnect to another server
            assert "retry: " in text
            assert "event: end" not in text
            response = await server.post(server.new_script().data)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
            script.put("b", "end")
            assert contents([event async for event in events]) == [(None, "b"), COMPLETED]
        await exited(server)
        assert "Traceback" not in server.running.output


async def test_a_second_signal_ends_the_grace(tmp_path, redis_url):
    with run_server(tmp_path, redis_url, RUN_LEASE=LEASE, RUN_GRACE=200) as server:
        run_id, script = await server.start()
        async with asyncio.timeout(40):
            reading = asyncio.create_task(server.read(run_id))
            script.put("a")
            async with follow(run_id) as events:
                await anext(events)
                server.process.terminate()
                await reading
                server.process.terminate()
                assert contents([event async for event in events])[-1] == LOST
            await script.closed()
        await exited(server)


@pytest.mark.parametrize(
    "server",
    [
        "gunicorn sync",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gunicorn gthread", "gunicorn with uvicorn-worker")),
    ],
)
async def test_followers_elsewhere_learn_at_once_that_gunicorn_stops(tmp_path, redis_url, server):
    with run_server(tmp_path, redis_url, server, RUN_LEASE=LEASE) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(40):
            script.put("a")
            await anext(events)
            server.process.terminate()
            assert contents([event async for event in events])[-1] == LOST
        await script.closed()
