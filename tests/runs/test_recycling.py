"""Runs of a worker that its server replaces after a number of requests."""

import asyncio

import pytest

from adrf_sse.runs import follow
from tests.servers.test_recycling import LIMIT
from tests.servers.test_recycling import SERVERS as LIMITED
from tests.servers.test_servers import SERVERS
from tests.support.redis_server import use_redis
from tests.support.run_servers import run_server
from tests.support.runs import LOST, contents

pytestmark = [pytest.mark.server, pytest.mark.slow]


async def test_followers_elsewhere_learn_at_once_that_a_worker_is_replaced(tmp_path, redis_url, settings, monkeypatch):
    use_redis(settings, redis_url)
    monkeypatch.setitem(SERVERS, "limited", LIMITED["uvicorn"])
    with run_server(tmp_path, redis_url, "limited", RUN_LEASE=300, RUN_GRACE=60) as server:
        run_id, script = await server.start()
        async with follow(run_id) as events, asyncio.timeout(40):
            script.put("a")
            assert (await anext(events)).data == "a"
            for _ in range(LIMIT - 1):
                assert "not found" in await server.read("unknown")
            assert contents([event async for event in events])[-1] == LOST
        await script.closed()
        assert await asyncio.to_thread(server.process.wait, 30) == 0
