"""Notifications of PostgreSQL that are lost, late, or not ours: streams read history, and there is no gap."""

import asyncio
import random
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.postgres.queries import PAGE
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from tests.support.postgres_server import closing

GARBAGE = [
    "",
    " ",
    "x",
    "news",
    "1",
    "1 2",
    "1 2 ",
    "1 2 *",
    "1 2 * x",
    "1 2 * 3 4",
    "1 2 * 9999999999",
    "1 2  news",
    "1 -2 news",
    "-1 2 news",
    "1 2.5 news",
    "\u0661 \u0662 news",
    "1 99999999999999999999 news",
    "99999999999999999999 1 news",
    "1 2 news",
    "1 2 * 3",
    "0 999999999999999999 news",
    "999999999999999999 999999999999999999 * 999999999",
    "0 9999999999999999 news news news",
    "é\u2028 \U0001f600",
    "x" * 7999,
    "1 2 " + "news " * 1500 + "news",
]


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


@pytest.fixture
def server(postgres_broker):
    return postgres_broker


@contextmanager
def replaced(server, function, body):
    """Replace a function of the broker for a while."""
    [[definition]] = server.execute("SELECT pg_get_functiondef(%s::regproc)", function)
    head = definition[: definition.index("RETURNS")]
    server.execute(f"{head} RETURNS void LANGUAGE plpgsql AS $body$ BEGIN {body} END $body$")
    try:
        yield
    finally:
        server.execute(definition)


DROPS_SOME = """
IF random() < {share} THEN
    PERFORM pg_notify(adrf_sse_topic(), last_value || ' ' || first || ' ' || channels) FROM adrf_sse_id;
END IF;
PERFORM setval('adrf_sse_id', first + events - 1);
"""


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_notifications_of_other_programs_disturb_nothing(server, garbage):
    async with subscribe("news") as events:
        for n in range(3):
            server.execute("SELECT pg_notify(adrf_sse_topic(), %s)", garbage)
            await apublish("news", n)
            server.execute("SELECT pg_notify(adrf_sse_topic(), %s)", garbage)
        assert await take(events, 3) == [0, 1, 2]


async def test_notifications_of_other_programs_among_events_disturb_nothing(server):
    @closing
    def disturb():
        for _ in range(20):
            for garbage in random.sample(GARBAGE, len(GARBAGE)):
                connections["events"].cursor().execute("SELECT pg_notify(adrf_sse_topic(), %s)", [garbage])

    async with subscribe("news") as events, asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(disturb))
        for n in range(300):
            await apublish("news", n)
        assert await take(events, 300) == list(range(300))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
async def test_events_whose_notifications_are_lost_are_read_from_history(server, impatient, share):
    with replaced(server, "adrf_sse_notify", DROPS_SOME.format(share=share)):
        async with subscribe("news") as events, subscribe("news", "other") as others:
            for n in range(100):
                await apublish("news", n)
            assert await take(events, 100) == list(range(100))
            assert await take(others, 100) == list(range(100))


async def test_a_warning_of_lost_notifications_is_logged_once(server, impatient, records):
    with replaced(server, "adrf_sse_notify", DROPS_SOME.format(share=0)):
        async with subscribe("news") as events:
            for n in range(2):
                await apublish("news", n)
                assert await take(events, 1) == [n]
        async with subscribe("news") as events:
            await apublish("news", "again")
            assert await take(events, 1) == ["again"]
    [record] = records()
    assert record.getMessage().startswith("PostgreSQL must send notifications of events, got none.")


async def test_large_transactions_among_single_events_leave_no_gap(server, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 10_000}
    long = "x" * 200
    numbers = iter(range(10**6))
    published = []

    @closing
    def write():
        for n in range(60):
            mine = []
            with transaction.atomic("events"):
                for _ in range(random.choice([1, 1, 1, 45])):  # the names of 45 channels do not fit
                    mine.append(next(numbers))
                    publish(long if n % 2 else "news", mine[-1])
            published.extend(mine)

    async with subscribe("news", long) as events:
        writing = [asyncio.create_task(asyncio.to_thread(write)) for _ in range(2)]
        received = []

        async def read():
            last = 0
            async for event in events:
                assert int(event.id) > last
                last = int(event.id)
                if event.data == "end":
                    return
                received.append(event.data)

        reading = asyncio.create_task(read())
        await asyncio.gather(*writing)
        await apublish("news", "end")
        await reading
    assert sorted(received) == sorted(published)


async def test_events_that_were_dropped_before_they_are_read_cause_a_reset(server, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5}
    async with subscribe("news") as events, subscribe("other") as others:
        first = await apublish("news", "first")
        assert await take(events, 1) == ["first"]
        [listener] = server.backends("adrf_sse")
        server.freeze_idle(listener)
        for n in range(50):
            await apublish("news", n)
        await apublish("other", "kept")
        server.execute("SELECT adrf_sse_trim('news', 5, 86400000000, 1000)")
        server.thaw()
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": first})
        assert await take(events, 5) == [45, 46, 47, 48, 49]
        assert await take(others, 1) == ["kept"]


async def test_a_subscriber_receives_events_although_history_was_read_before(server):
    await get_broker().read(["news"], None, 1)
    reading = asyncio.create_task(get_broker().read(["news"], 0, 1))
    async with subscribe("news") as events:
        await apublish("news", 1)
        assert await take(events, 1) == [1]
    await reading


async def test_subscribers_that_come_and_go_while_history_is_read_receive_events(server):
    for n in range(30):
        reading = asyncio.create_task(get_broker().read(["news"], 0, 1))
        await asyncio.sleep(random.uniform(0, 0.01))
        async with subscribe("news") as events:
            await apublish("news", n)
            assert await take(events, 1) == [n]
            if n % 2:
                reading.cancel()
        await asyncio.wait([reading])
    while server.backends("adrf_sse"):
        await asyncio.sleep(0.001)
    assert subscriber_counts() == {}


def test_a_page_of_history_is_not_compiled(server):
    with psycopg.connect(**server.parameters) as connection:
        parameters = {"after": 0, "limit": 100, "ttl": 10**12, "history": 1000, "bytes": 1000}
        channels = {"names": ["a", "b"], "whole": [False, True]}
        plan = connection.execute("EXPLAIN ANALYZE " + PAGE, parameters | channels).fetchall()
    assert "JIT:" not in [line for [line] in plan]
