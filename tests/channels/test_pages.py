"""Tests of pages of history: what they contain, and what they cost."""

import asyncio
import random
from itertools import count

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.brokers.messages import PAGE_SIZE, message_body
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels.cursor import Cursor, State
from adrf_sse.channels.history import READ_AT_ONCE
from adrf_sse.channels.hub import hub_of
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream
from tests.support.redis_server import redis_server, use_redis

MIB = 1024 * 1024
HISTORY, LARGE = "{adrf_sse}:history:news", "{adrf_sse}:large:news"


@pytest.fixture
def redis(settings):
    """A Redis server for one test, so that its statistics are those of the test."""
    with redis_server() as server:
        use_redis(settings, server.url)
        yield server.client


def body(size):
    return message_body("x" * size, None)


async def pages(channels, limit, after=0):
    """Return the pages of some channels, from an ID to the last one."""
    result = []
    while True:
        page = await get_broker().read(channels, after, limit)
        result.append(page)
        if page.complete:
            return result
        after = page.events[-1].number


def numbers_of(read):
    return [event.number for page in read for event in page.events]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_contain_each_event_of_all_channels_once_and_in_order(limit):
    choose = random.Random()
    channels = [f"c{n}" for n in range(12)]
    sizes = [0, 10, 2000, 2100, 9000, 50_000, PAGE_SIZE + 1]
    expected = []
    for _ in range(200):
        channel = choose.choice([*channels, *channels[:2] * 10])
        size = choose.choices(sizes, [20, 20, 5, 5, 3, 2, 1])[0]
        expected.append((await apublish(channel, "x" * size), channel, size))
    read = await pages(channels, limit)
    events = [event for page in read for event in page.events]
    assert [(event.number, event.channel, len(event.data)) for event in events] == expected
    assert all(len(page.events) <= limit for page in read)


@pytest.mark.usefixtures("broker")
async def test_a_page_is_at_most_as_large_as_its_limit_or_its_first_event():
    numbers = [await apublish(f"c{n % 3}", "x" * (PAGE_SIZE // 4 - 100)) for n in range(10)]
    numbers += [await apublish("c0", "x" * 2 * PAGE_SIZE), await apublish("c1", "small")]
    read = await pages(["c0", "c1", "c2"], 100)
    assert [len(page.events) for page in read] == [4, 4, 2, 1, 1]
    assert numbers_of(read) == numbers


class Gate(MemoryBroker):
    """A broker whose pages of history wait until the test lets them through."""

    def __init__(self):
        super().__init__()
        self.waiting = asyncio.Queue()
        self.reading = 0

    async def read(self, channels, after, limit):
        if after is None:
            return await super().read(channels, after, limit)
        self.reading += 1
        passed = asyncio.Event()
        self.waiting.put_nowait((after, passed))
        try:
            await passed.wait()
            return await super().read(channels, after, limit)
        finally:
            self.reading -= 1


@pytest.fixture
async def gate():
    gate = Gate()
    yield gate
    assert gate.reading == 0
    assert subscriber_counts() == {}


async def behind(gate, last_id):
    """Return a cursor that is behind, and a task that reads its first page."""
    cursor = Cursor(frozenset(["news"]), last_id)
    hub = hub_of(gate)
    await hub.join(cursor)
    return cursor, asyncio.create_task(hub.catch_up(cursor))


async def test_a_few_pages_are_read_at_a_time_in_the_order_in_which_they_are_asked_for(gate):
    readers = [await behind(gate, last_id) for last_id in range(1, 11)]
    for last_id in range(1, 11):
        after, passed = await gate.waiting.get()
        assert after == last_id
        assert gate.reading <= READ_AT_ONCE
        passed.set()
    for cursor, task in readers:
        await task
        await hub_of(gate).leave(cursor)


async def test_readers_that_leave_before_or_during_their_turn_give_it_to_others(gate):
    readers = [await behind(gate, last_id) for last_id in range(1, 31)]
    for last_id in range(1, READ_AT_ONCE + 1):
        assert (await gate.waiting.get())[0] == last_id
    for number, (cursor, task) in enumerate(readers):
        if number % 3 != 2:  # some that read, and some that wait
            task.cancel()
            await asyncio.wait([task])
            await hub_of(gate).leave(cursor)
    left = [reader for number, reader in enumerate(readers) if number % 3 == 2]
    reached = []

    async def let_pass():
        while True:
            after, passed = await gate.waiting.get()
            reached.append(after)
            passed.set()

    passing = asyncio.create_task(let_pass())
    for cursor, task in left:
        await task
        await hub_of(gate).leave(cursor)
    passing.cancel()
    assert [after for after in reached if after % 3 == 0] == [*range(3, 31, 3)]


async def test_a_stream_that_needs_no_history_waits_for_no_replay(gate):
    readers = [await behind(gate, last_id) for last_id in range(1, 11)]
    for _ in range(READ_AT_ONCE):
        await gate.waiting.get()
    live, reading = await behind(gate, None)
    await reading
    assert live.state is State.LIVE
    number = gate.publish("news", body(1))
    assert live.next_event().number == number
    for cursor, task in [*readers, (live, reading)]:
        task.cancel()
        await asyncio.wait([task])
        await hub_of(gate).leave(cursor)


async def test_a_client_that_does_not_read_its_page_keeps_no_other_from_reading(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    numbers = [publish("news", "x" * PAGE_SIZE) for _ in range(5)]
    streams = [EventStream(subscribe("news", last_event_id=numbers[0]), options({})) for _ in range(3 * READ_AT_ONCE)]
    for stream in streams:  # each reads a page, which contains a single event, and stops
        assert b"%d" % numbers[1] in await anext(stream)
    async with subscribe("news", last_event_id=numbers[0]) as events:
        assert [(await anext(events)).number for _ in numbers[1:]] == numbers[1:]
    for stream in streams:
        await stream.aclose()


async def test_redis_loads_little_more_than_a_page_returns(redis):
    broker = get_broker()
    numbers = [broker.publish("news", body(MIB // 2)) for _ in range(64)]
    before = redis.info("memory")["used_memory_peak"]
    assert numbers_of(await pages(["news"], 100)) == numbers
    assert redis.info("memory")["used_memory_peak"] - before < 8 * MIB


@pytest.mark.parametrize("size", [1500, 30_000])
async def test_catching_up_on_many_channels_reads_each_event_once(redis, size):
    broker = get_broker()
    channels = [f"c{n}" for n in range(100)]
    numbers = [broker.publish(channels[n * 7 % 100], body(size)) for n in range(400)]
    redis.config_resetstat()
    assert numbers_of(await pages(channels, 100)) == numbers
    assert redis.info("stats")["total_net_output_bytes"] < 1.1 * 400 * size


async def test_eight_clients_that_replay_a_large_history_stop_nobody_from_publishing(redis):
    numbers = [publish("news", "x" * (MIB - 100)) for _ in range(40)]
    before = redis.info("memory")["used_memory_peak"]
    replayed = asyncio.Event()

    async def replay():
        async with subscribe("news", last_event_id=numbers[0] - 1) as events:
            return [(await anext(events)).number for _ in numbers]

    async def publish_meanwhile():
        for number in count():
            await apublish("other", number)
            await asyncio.to_thread(publish, "other", number)
            if replayed.is_set():
                return number

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish_meanwhile())
        assert await asyncio.gather(*(replay() for _ in range(8))) == [numbers] * 8
        replayed.set()
    assert publishing.result() > 0
    assert redis.info("memory")["used_memory_peak"] - before < 20 * MIB


async def test_large_events_are_dropped_with_the_history(redis, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5}
    for size in [5000] * 8:
        publish("news", "x" * size)
    assert (redis.xlen(HISTORY), redis.xlen(LARGE)) == (5, 5)
    assert 0 < redis.pttl(LARGE) <= 86_401_000
    for remaining in (4, 3, 2, 1, 0):
        publish("news", "small")
        assert (redis.xlen(HISTORY), redis.xlen(LARGE)) == (5, remaining)
    assert redis.exists(HISTORY, LARGE) == 2


async def test_a_large_event_that_is_lost_causes_a_reset(redis):
    first = publish("news", "first")
    publish("news", "x" * 5000)
    redis.delete(LARGE)
    publish("news", "last")
    async with subscribe("news", last_event_id=first) as events:
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": first})
        assert (await anext(events)).data == "last"


@pytest.mark.parametrize(
    "spoil", [lambda redis: redis.set(LARGE, "x"), lambda redis: redis.xadd(LARGE, {"x": 1}, id=2**60)]
)
async def test_a_spoiled_stream_of_large_events_loses_no_event(redis, spoil):
    first = publish("news", "first")
    spoil(redis)
    large = publish("news", "x" * 5000)
    publish("news", "last")
    async with subscribe("news", last_event_id=first) as events:
        assert [(await anext(events)).data for _ in range(2)] == ["x" * 5000, "last"]
    async with subscribe("news", last_event_id=large) as events:
        assert (await anext(events)).data == "last"


@pytest.mark.parametrize("number", [2**52, 2**53 - 1, 2**53 + 1, 2**64 - 1])
async def test_publishing_works_after_an_entry_with_an_id_that_no_event_can_follow(redis, number):
    first = publish("news", "first")
    publish("news", "lost")
    redis.xadd(HISTORY, {"b": "foreign"}, id=f"{number}-7")
    numbers = [publish("news", n) for n in range(3)]
    assert first < numbers[0] < numbers[1] < numbers[2] < 2**52
    async with subscribe("news", last_event_id=first) as events:
        assert [(await anext(events)).event, (await anext(events)).data] == ["reset", 0]
    async with subscribe("news", last_event_id=numbers[0]) as events:
        assert [(await anext(events)).data for _ in range(2)] == [1, 2]
