"""Tests that no connection to Redis stays open: Python warns of those that it collects."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Iterator

import pytest

from adrf_sse.brokers.redis.client import RedisClient
from adrf_sse.channels import publish, subscribe
from tests.support.redis_server import use_redis

SCRIPT = "return 1"


@pytest.fixture
def leaks(shared_redis) -> Iterator[list[warnings.WarningMessage]]:
    """The warnings since the beginning of the test; earlier tests cause none of them."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@pytest.mark.parametrize("again", range(10))
def test_a_task_that_is_cancelled_twice_while_it_connects_closes_its_connection(redis_url, leaks, again):
    client = RedisClient(redis_url, None, None, {}, [SCRIPT])

    async def leave(operation, turns):
        task = asyncio.create_task(operation)
        for before in (turns, again):
            for _ in range(before):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (connection := task.result()) != 1:
            await connection.aclose()

    for turns in range(20):
        asyncio.run(leave(client.connect(), turns))
        asyncio.run(leave(client.arun(SCRIPT, "run"), turns))
        gc.collect()
        assert [str(warning.message) for warning in leaks] == [], turns


def test_a_broker_that_is_replaced_closes_its_connections(redis_url, settings, leaks):
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        for number in range(50):
            publish("news", number)

    async def use():
        async with subscribe("news"):
            await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))

    use_redis(settings, redis_url)
    asyncio.run(use())
    settings.ADRF_SSE = {}
    gc.collect()
    assert [str(warning.message) for warning in leaks] == []
