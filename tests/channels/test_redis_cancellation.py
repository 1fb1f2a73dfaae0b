"""A task that is cancelled while it talks to Redis stops, whatever it was doing."""

import asyncio
import random
from contextlib import suppress

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.channels import apublish, subscribe, subscriber_counts
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.redis_server import use_redis

TASKS = 300


async def publish():
    await apublish("news", "x")


async def read():
    await get_broker().read(["news"], 0, 5)


async def come_and_go():
    async with subscribe(f"own.{random.randrange(100)}", "news"):
        pass


async def for_ever(action):
    while True:
        with suppress(BrokerUnavailable):
            await action()


@pytest.mark.parametrize("action", [publish, read, come_and_go])
@pytest.mark.parametrize("is_cut", [False, True], ids=["", "while connections are cut"])
async def test_a_cancelled_task_stops(settings, redis_url, shared_redis, action, is_cut):
    use_redis(settings, redis_url, socket_timeout=10)
    choose = random.Random()
    tasks = []
    for _ in range(TASKS):
        task = asyncio.create_task(for_ever(action))
        tasks.append(task)
        for _ in range(choose.randrange(40)):
            await asyncio.sleep(0)
        if is_cut and choose.random() < 0.05:
            shared_redis.client.client_kill_filter(_type=choose.choice(["normal", "pubsub"]), skipme=True)
        task.cancel()
    _, running = await asyncio.wait(tasks, timeout=20)
    for task in running:
        task.cancel()
    assert len(running) == 0
    assert subscriber_counts() == {}
