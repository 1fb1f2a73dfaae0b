"""Runs while Redis is killed, restarted, emptied, paused or cut off: exactly once, whole and in order, or lost."""

import asyncio
import random
from contextlib import suppress

import pytest
from django.urls import path

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import run_channel
from adrf_sse.channels import subscriber_counts
from adrf_sse.exceptions import BrokerUnavailable, RunNotFound, SubscriberLagged
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.runs import follow, run_state, start_run, stop_run
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import RunView
from tests.channels.test_redis import PERSISTENT
from tests.support.logs import wait_for_log
from tests.support.redis_server import redis_server, use_redis
from tests.support.runs import COMPLETED, LOST, Gate, all_of, contents, slots_to_come_back
from tests.support.tcp_proxy import tcp_proxy


@pytest.fixture
def redis(request, settings):
    """A Redis server for one test; the parameter holds its command line options."""
    with redis_server(*getattr(request, "param", ())) as server:
        use_redis(settings, server.url, socket_timeout=0.2)
        yield server


def with_settings(settings, **values):
    settings.ADRF_SSE = {**settings.ADRF_SSE, **values}


async def available(call, *args):
    """Call until the broker is available."""
    while True:
        try:
            return await call(*args)
        except BrokerUnavailable:
            await asyncio.sleep(0.01)


class Reader:
    """Follow a run again and again, each time from any event, and check that what follows is whole and in order."""

    def __init__(self, run_id, whole, choose):
        self._run_id = run_id
        self._whole = whole
        self._choose = choose
        self._known = {}  # IDs, and the numbers of their events

    async def read_until(self, ended):
        while not ended.is_set():
            await self.read(self._choose.randrange(1, 40))
        while not await self.read(10**9):
            pass

    async def read(self, limit):
        """Read some events, and return whether the run has ended."""
        last_id, number = self._choose.choice([*self._known.items(), (None, 0), ("x", 0), ("1", 0), ("9" * 15, 0)])
        with suppress(BrokerUnavailable, SubscriberLagged):
            async with follow(self._run_id, last_id) as events:
                async for event in events:
                    assert (event.event, event.data) == self._whole[number], (last_id, number)
                    number += 1
                    assert self._known.setdefault(event.id, number) == number
                    limit -= 1
                    if not limit:
                        return False
                assert number == len(self._whole)
                return True
        return False


EVENTS = 400
SIZES = (1, 10, 100, 3000, 20_000)


async def disturb(redis, choose, ended, kinds):
    """Harm Redis until the run has ended, at least once in each way."""
    kinds = list(kinds)
    while kinds or not ended.is_set():
        kind = kinds.pop() if kinds else choose.choice(["cut", "pause"])
        if kind == "restart":
            redis.kill()
            await asyncio.sleep(choose.uniform(0, 0.3))
            await asyncio.to_thread(redis.start)
        elif kind == "pause":
            redis.pause()
            await asyncio.sleep(choose.uniform(0, 0.5))
            redis.resume()
        else:
            kinds_of_clients = choose.choice(["normal", "pubsub"])
            await asyncio.to_thread(redis.client.client_kill_filter, _type=kinds_of_clients, skipme=True)
        await asyncio.sleep(choose.uniform(0, 0.2))


async def check_followers(disturb):
    """Check that followers receive each event once and in order while ``disturb(choose, done)`` disturbs the broker."""
    seed = random.randrange(10**6)
    print("seed", seed)
    choose = random.Random(seed)
    items = [(None, f"{number}:" + "x" * choose.choice(SIZES)) for number in range(EVENTS)]
    done = asyncio.Event()

    async def source():
        for _, text in items:
            yield text
            if choose.random() < 0.2:
                await asyncio.sleep(choose.uniform(0, 0.02))

    run_id = await start_run(source())
    readers = [Reader(run_id, [*items, COMPLETED], random.Random(f"{seed}.{number}")) for number in range(5)]
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        harm = group.create_task(disturb(choose, done))
        for reader in readers:
            group.create_task(reader.read_until(done))
        assert await available(all_of, run_id) == [*items, COMPLETED]
        done.set()
        await harm
    assert await available(all_of, run_id) == [*items, COMPLETED]
    await slots_to_come_back()
    assert subscriber_counts() == {}


@pytest.mark.parametrize("redis", [PERSISTENT], indirect=True)
@pytest.mark.parametrize("kinds", [["restart", "restart"], ["pause", "pause"], ["cut"] * 10], ids=lambda each: each[0])
async def test_each_follower_receives_every_event_once_while_redis_is(redis, settings, kinds):
    with_settings(settings, RUN_LEASE=60)
    await check_followers(lambda choose, done: disturb(redis, choose, done, kinds))


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "flushed"])
async def test_a_run_whose_broker_was_emptied_is_lost(redis, settings, records, is_killed):
    with_settings(settings, RUN_LEASE=1)
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events, follow(run_id) as others:
        gate.put("a")
        assert (await anext(events)).data == (await anext(others)).data == "a"
        if is_killed:
            redis.kill()
            await asyncio.to_thread(redis.start)
        else:
            redis.client.flushall()
        async with asyncio.timeout(30):
            rest = contents([event async for event in events])
            await gate.closed.wait()
            assert contents([event async for event in others]) == rest
        assert [name for name, _ in rest] == ["error", "end"]
        assert rest[-1] == LOST
    await slots_to_come_back()
    await wait_for_log(records, f"The run {run_id} has ended, lost")
    with pytest.raises(RunNotFound):
        await run_state(run_id)


async def test_the_end_of_a_run_whose_broker_was_emptied_is_that_of_its_view(redis, settings):
    with_settings(settings, RUN_LEASE=1)
    gate = Gate()

    class Own(Chat):
        end_event = b"data: [DONE]\n\n"
        error_event = "problem"

        def run(self, request):
            return gate.source()

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Own.as_view())]})
    async with EventStreamClient().post("/", headers={"X-ID": "c1"}) as stream:
        gate.put("a")
        assert (await stream.next()).data == "a"
        redis.client.flushall()
        rest = [event async for event in stream]
    assert [(event.event, event.data) for event in rest][1:] == [(None, "[DONE]")]
    assert rest[0].event == "problem"
    await slots_to_come_back()


async def test_a_broker_that_is_away_for_longer_than_a_lease_loses_the_run_loudly(redis, settings, records):
    with_settings(settings, RUN_LEASE=0.5)
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        gate.put("a")
        assert (await anext(events)).data == "a"
        redis.pause()
        gate.put("b")
        await asyncio.wait_for(gate.closed.wait(), 30)  # while Redis is still away
        await slots_to_come_back()
        await wait_for_log(records, f"The run {run_id} was lost.")
        redis.resume()
        async with asyncio.timeout(30):
            rest = contents([event async for event in events])
    assert [event for event in rest if event != (None, "b")] == rest[-2:]  # b may have reached Redis
    assert rest[-1] == LOST
    assert await all_of(run_id) == [(None, "a"), *rest]
    assert (await run_state(run_id))["status"] == "lost"


async def test_a_broker_that_is_away_for_less_than_a_lease_loses_nothing(redis, settings):
    with_settings(settings, RUN_LEASE=20)
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        for number in range(5):
            redis.pause()
            gate.put(number)
            await asyncio.sleep(0.3)
            redis.resume()
        gate.put(None)
        assert contents([event async for event in events]) == [*((None, number) for number in range(5)), COMPLETED]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_write_whose_reply_was_lost_is_not_published_twice(redis, settings, times):
    async with tcp_proxy(redis.port) as proxy:
        use_redis(settings, f"redis://127.0.0.1:{proxy.port}/0", socket_timeout=5)
        gate = Gate()
        run_id = await start_run(gate.source())
        async with follow(run_id) as events:
            for number in range(3):
                proxy.lose_reply_to(f"event {number}".encode(), times)
                gate.put(f"event {number}", f"more {number}")
                assert (await anext(events)).data == f"event {number}"
                assert (await anext(events)).data == f"more {number}"
            proxy.lose_reply_to(b"completed", times)
            gate.put("last", None)
            assert contents([event async for event in events]) == [(None, "last"), COMPLETED]
        await slots_to_come_back()
        whole = [(None, f"{text} {number}") for number in range(3) for text in ("event", "more")]
        assert await all_of(run_id) == [*whole, (None, "last"), COMPLETED]
        assert proxy.dropped >= 4


async def test_a_start_whose_reply_was_lost_leaves_no_run_that_blocks_its_id(redis, settings):
    async with tcp_proxy(redis.port) as proxy:
        use_redis(settings, f"redis://127.0.0.1:{proxy.port}/0", socket_timeout=5)
        await start_run(Gate().source(), run_id="warm")  # the scripts are loaded
        await stop_run("warm")
        proxy.lose_reply_to(b"chat-1")
        gate = Gate()
        with pytest.raises(BrokerUnavailable):
            await start_run(gate.source(), run_id="chat-1")
        assert not gate.started.is_set()
        gate.put("a", None)
        run_id = await start_run(gate.source(), run_id="chat-1")
        assert await all_of(run_id) == [(None, "a"), COMPLETED]
        await slots_to_come_back()


class Chat(RunView):
    authentication_classes = []
    renderer_classes = [EventStreamRenderer]

    def get_run_id(self, request):
        return request.headers["X-ID"]

    async def run(self, request, *args, **kwargs):
        yield "a"
        yield "b"


async def test_a_post_any_of_whose_replies_was_lost_can_be_repeated(redis, settings):
    """With its key, it gets the whole answer, of the first run or of a second one."""
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Chat.as_view())]})
    client = EventStreamClient()
    statuses = set()
    async with tcp_proxy(redis.port) as proxy:
        use_redis(settings, f"redis://127.0.0.1:{proxy.port}/0", socket_timeout=5)
        await start_run(Gate().source(), run_id="warm")  # the scripts are loaded
        await stop_run("warm")
        for number in range(16):
            proxy.lose_reply_to(b"chat-%d" % number, times=1 + number // 8, skip=number % 8)
            headers = {"X-ID": f"chat-{number}", "Idempotency-Key": f"key-{number}"}
            async with client.post("/", headers=headers) as stream:
                statuses.add(stream.status_code)
            proxy.lose_reply_to(b"", 0)
            async with client.post("/", headers=headers) as stream:
                assert stream.status_code == 200
                assert [event.data async for event in stream] == ["a", "b", '{"status":"completed"}']
        await slots_to_come_back()
    assert statuses == {200, 503}


async def test_a_stop_reaches_a_producer_that_could_not_be_told(redis, settings):
    """The control channel is a hint: the producer also learns that its run has ended when it writes."""
    with_settings(settings, RUN_LEASE=0.6)
    gate = Gate()
    run_id = await start_run(gate.source())
    await available(get_broker().runs.end, run_id, "stopped")  # as a process that then dies
    await asyncio.wait_for(gate.closed.wait(), 30)
    await slots_to_come_back()


async def test_the_beginning_of_an_answer_is_not_trimmed_while_it_is_written(redis, settings):
    with_settings(settings, CHANNEL_HISTORY=10, CHANNEL_TTL=0.01, RUN_LEASE=60)
    gate = Gate()
    run_id = await start_run(gate.source())
    for number in range(500):
        gate.put(number)
    async with follow(run_id) as events:
        while (await anext(events)).data != 499:
            pass
    assert redis.client.xlen(f"{{adrf_sse}}:history:{run_channel(run_id)}") == 500
    assert redis.client.pttl(f"{{adrf_sse}}:history:{run_channel(run_id)}") > 60_000
    gate.put(None)
    assert await all_of(run_id) == [*((None, number) for number in range(500)), COMPLETED]


async def test_a_follower_of_an_ended_run_whose_events_are_gone_does_not_wait(redis, settings):
    with_settings(settings, RUN_LEASE=0.5)
    gate = Gate()
    gate.put("a", None)
    run_id = await start_run(gate.source())
    await all_of(run_id)
    redis.client.delete(f"{{adrf_sse}}:history:{run_channel(run_id)}")  # as an eviction does
    redis.client.expire(f"{{adrf_sse}}:run:{run_id}", 1)
    assert (await all_of(run_id))[-1] == LOST
