"""PostgreSQL fails, and comes back: streams stay open, nothing is lost or repeated, and publishers are told."""

import asyncio
import random
import threading
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.db import Error, connections, transaction

from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.logs import wait_for_log
from tests.support.ports import refusing_server
from tests.support.postgres_server import closing, use_postgres
from tests.support.tcp_proxy import tcp_proxy

RECEIVING = "receiving events from PostgreSQL"


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


async def publish_when_available(data):
    """Publish ``data`` as soon as PostgreSQL accepts it."""
    while True:
        try:
            return await apublish("news", data)
        except BrokerUnavailable:
            await asyncio.sleep(0.001)


async def wait_until_idle(server):
    """Wait until the broker has neither connections nor tasks."""
    while asyncio.all_tasks() != {asyncio.current_task()} or await asyncio.to_thread(server.backends, "adrf_sse"):
        await asyncio.sleep(0.001)


def levels(records):
    return [record.levelname for record in records() if RECEIVING in record.getMessage()]


def terminate(server, name="%", *, count=100):
    """End the connections of some clients."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid() AND application_name LIKE %s ORDER BY random() LIMIT %s) AS clients",
        name,
        count,
    )


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_subscribers_catch_up_after_postgres_was_stopped_and_started(faulty, records, mode):
    async with subscribe("news") as events, subscribe("news", "other") as others:
        await apublish("news", 1)
        assert await take(events, 1) == [1]
        faulty.stop(mode)
        await wait_for_log(records, f"Failed at {RECEIVING}, and will try again: ")
        for _ in range(2):  # over a connection that was open before, and without one
            with pytest.raises(BrokerUnavailable, match=r"PostgreSQL \('faulty' of DATABASES\) must .*Check that it"):
                await apublish("news", "lost")
        faulty.start()
        last = await publish_when_available(2)  # possibly before the listener has reconnected
        await publish_when_available(3)
        assert await take(events, 2) == [2, 3]
        assert await take(others, 3) == [1, 2, 3]
    assert levels(records) == ["ERROR", "WARNING"]
    async with subscribe("news", last_event_id=last) as events:
        assert await take(events, 1) == [3]
    assert subscriber_counts() == {}
    await wait_until_idle(faulty)


async def test_a_restart_that_nobody_has_noticed_loses_nothing(faulty):
    async with subscribe("news") as events:
        for n in range(3):
            faulty.stop("fast")
            faulty.start()
            await publish_when_available(n)
            assert await take(events, 1) == [n]


@pytest.mark.parametrize(
    "database", [{}, {"CONN_MAX_AGE": None}, {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}}]
)
async def test_a_publisher_receives_one_error_after_a_restart(faulty, monkeypatch, database):
    for name, value in database.items():
        monkeypatch.setitem(connections.databases["faulty"], name, value)

    @sync_to_async
    def publish_around_restart():
        connection = connections["faulty"]
        publish("news", 1)
        faulty.stop("fast")
        faulty.start()
        with pytest.raises(BrokerUnavailable):
            publish("news", 2)
        numbers = [publish("news", 3)]
        with transaction.atomic("faulty"):
            publish("news", 4)
        connection.close()
        connection.close_pool()
        return numbers

    [number] = await publish_around_restart()
    async with subscribe("news", last_event_id=number - 1) as events:
        assert await take(events, 2) == [3, 4]


async def test_a_subscription_entered_while_postgres_is_down_receives_missed_events_afterwards(faulty):
    first = await apublish("news", 1)
    await apublish("news", 2)
    faulty.stop()
    subscription = subscribe("news", last_event_id=first)
    entering = asyncio.create_task(subscription.__aenter__())
    await asyncio.sleep(0)
    faulty.start()
    events = await entering
    assert await take(events, 1) == [2]
    await subscription.__aexit__(None, None, None)
    assert subscriber_counts() == {}


@pytest.mark.parametrize("fault", ["stop", "freeze_all"])
async def test_a_subscriber_can_leave_while_postgres_is_unavailable(faulty, records, impatient, fault):
    async with subscribe("news"):
        getattr(faulty, fault)()
        await wait_for_log(records, f"Failed at {RECEIVING}")
    entering = [asyncio.create_task(subscribe("news", str(n), last_event_id=0).__aenter__()) for n in range(5)]
    await asyncio.sleep(0.01)
    for task in entering:
        task.cancel()
    results = await asyncio.gather(*entering, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 5
    assert subscriber_counts() == {}
    while asyncio.all_tasks() != {asyncio.current_task()}:
        await asyncio.sleep(0.001)
    faulty.recover()
    await wait_until_idle(faulty)


async def test_a_long_outage_is_logged_once(faulty, records):
    async with subscribe("news") as events:
        faulty.stop()
        with refusing_server(faulty.port) as attempts:
            for _ in range(5):
                await asyncio.to_thread(attempts.get)
        faulty.start()
        await publish_when_available("back")
        assert await take(events, 1) == ["back"]
    assert levels(records) == ["ERROR", "WARNING"]


async def test_subscribers_miss_nothing_when_the_listeners_connection_is_ended(faulty):
    async with subscribe("news", "other") as events, subscribe("news") as others:
        for n in range(5):
            terminate(faulty, "adrf_sse")
            await apublish("news", n)
            assert await take(events, 1) == await take(others, 1) == [n]
        assert len(faulty.backends("adrf_sse")) == 1


async def test_a_transaction_whose_connection_was_ended_publishes_nothing(faulty):
    @sync_to_async
    def fail():
        with transaction.atomic("faulty"):
            publish("news", "rolled back")
            terminate(faulty, "")
            publish("news", "lost")

    async with subscribe("news") as events:
        with pytest.raises(BrokerUnavailable, match=r"must store the event, got .*terminat"):
            await fail()
        await apublish("news", "next")
        assert await take(events, 1) == ["next"]


async def test_writers_whose_connections_are_ended_at_random_times_lose_and_repeat_nothing(faulty):
    stored, attempted = [], []
    ended = threading.Event()

    @closing
    def write(writer):
        for n in range(30):
            attempted.append((writer, n))
            with suppress(BrokerUnavailable, Error):  # it may have been stored
                write_one([writer, n])
                stored.append((writer, n))

    def disturb():
        while not ended.is_set():
            terminate(faulty, count=1)

    async with subscribe("news") as events, asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(disturb))
        try:
            await asyncio.gather(*(asyncio.to_thread(write, writer) for writer in range(8)))
        finally:
            ended.set()
        await publish_when_available("end")
        received = await take_until_end(events)
    numbers, data = zip(*received, strict=True)
    assert list(numbers) == sorted(set(numbers))
    assert len(data) == len(set(data))
    assert set(stored) <= set(data) <= set(attempted)
    for writer in range(8):
        own = [each for each in data if each[0] == writer]
        assert own == sorted(own)
    await wait_until_idle(faulty)


def write_one(data):
    if random.random() < 0.5:
        publish("news", data)
    else:
        with transaction.atomic("faulty"):
            publish("news", data)


async def take_until_end(events):
    received = []
    async for event in events:
        if event.data == "end":
            return received
        assert event.event is None
        received.append((int(event.id), tuple(event.data)))


async def test_a_listener_whose_backend_hangs_connects_anew(faulty, records, impatient):
    async with subscribe("news") as events:
        await apublish("news", 1)
        assert await take(events, 1) == [1]
        [listener] = faulty.backends("adrf_sse")
        faulty.freeze_idle(listener)
        await apublish("news", 2)
        assert await take(events, 1) == [2]
        await apublish("news", 3)
        assert await take(events, 1) == [3]
        [error] = [record for record in records() if record.levelname == "ERROR"]
        assert "must return its position, got TimeoutError: no answer in 0.3 s." in error.getMessage()


async def test_everything_goes_on_after_postgres_has_hung(faulty, records, impatient):
    async with subscribe("news") as events:
        await apublish("news", 1)
        assert await take(events, 1) == [1]
        faulty.freeze_all()
        publishing = asyncio.create_task(asyncio.to_thread(closing(publish), "news", 2))
        await wait_for_log(records, f"Failed at {RECEIVING}")
        with pytest.raises(BrokerUnavailable, match=r"must store the event, got TimeoutError: no answer in 0\.3 s"):
            await apublish("other", 2)
        faulty.thaw()
        await publishing
        await apublish("news", 3)
        assert await take(events, 2) == [2, 3]
    assert levels(records) == ["ERROR", "WARNING"]


async def test_a_connection_that_forwards_nothing_is_replaced(faulty, settings, impatient):
    async with tcp_proxy(faulty.port) as proxy:
        use_postgres(settings, faulty, "faulty", listen={"port": proxy.port})
        async with subscribe("news") as events:
            for n in range(3):
                proxy.hang()
                await apublish("news", n)
                assert await take(events, 1) == [n]
        await asyncio.to_thread(faulty.recover)
