"""PostgreSQL refuses what it is asked, for lack of room, time or permission: publishers learn why, and streams wait."""

import asyncio
import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.logs import wait_for_log
from tests.support.postgres_server import cluster, postgres_alias

READ_ONLY = r"Connect to the primary, not to a standby or a database that is read-only\."
TTL = 86_400_000_000


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


async def reconnect(alias="faulty"):
    """Let the publisher of the next event open a new connection."""
    await sync_to_async(lambda: connections[alias].close())()


async def publish_in_thread(channel, data):
    """Publish over Django's connection, which ``reconnect()`` replaces."""
    return await sync_to_async(publish)(channel, data)


def levels(records):
    """Return the levels of what was logged about streams, and not about publishers."""
    return [record.levelname for record in records() if " at publishing" not in record.getMessage()]


@contextmanager
def altered(server, *settings):
    """Change settings of the server, or of the role."""
    for setting in settings:
        server.execute(setting)
    server.execute("SELECT pg_reload_conf()")
    yield
    server.recover()


async def test_publishers_learn_that_the_database_is_read_only_and_streams_stay_open(faulty, records):
    async with subscribe("news") as events:
        number = await publish_in_thread("news", 1)
        with altered(faulty, "ALTER ROLE postgres SET default_transaction_read_only = on"):
            await reconnect()
            with pytest.raises(BrokerUnavailable, match=READ_ONLY):
                await publish_in_thread("news", 2)
            async with subscribe("other", "news", last_event_id=number - 1) as others:
                assert await take(others, 1) == [1]
        await reconnect()
        await publish_in_thread("news", 3)
        assert await take(events, 2) == [1, 3]
    assert levels(records) == []


@pytest.fixture
def standby(faulty, settings):
    """A standby of the server; the broker connects to the first of both that answers."""
    ports = f"{faulty.port},{{}}"
    with cluster(20, faulty) as server:
        hosts = {"HOST": "127.0.0.1,127.0.0.1", "PORT": ports.format(server.port)}
        with postgres_alias(settings, faulty, "failover", **hosts):
            yield server


@pytest.mark.slow
async def test_after_a_failover_subscribers_of_events_that_are_lost_receive_a_reset(faulty, standby, records):
    """The standby that becomes the primary lacks the last events of the old one."""
    async with subscribe("news") as events:
        await publish_in_thread("news", 1)
        while not standby.execute("SELECT 1 FROM adrf_sse_event"):
            await asyncio.sleep(0.001)
        standby.stop("fast")
        lost = await publish_in_thread("news", "lost")
        assert await take(events, 2) == [1, "lost"]
        faulty.stop()
        standby.start()
        await wait_for_log(records, "Failed at receiving events from PostgreSQL")
        await reconnect("failover")
        with pytest.raises(BrokerUnavailable, match=READ_ONLY):
            await publish_in_thread("news", "refused")
        standby.promote()
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": lost})
        number = await publish_in_thread("news", 2)
        assert number > lost
        assert await take(events, 1) == [2]
    assert levels(records) == ["ERROR", "WARNING"]
    await reconnect("failover")


@contextmanager
def small_tablespace(server):
    """Store events on a disk that is nearly full, and yield a function that frees it."""
    folder = server.new_folder("small")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        server.own(folder)
        server.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        server.execute("ALTER TABLE adrf_sse_event SET TABLESPACE small")
        server.execute("CREATE TABLE filler (data text) TABLESPACE small")
        with suppress(psycopg.errors.DiskFull), psycopg.connect(**server.parameters, autocommit=True) as connection:
            while True:
                connection.execute("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 10)")
        yield lambda: server.execute("DROP TABLE IF EXISTS filler")
        server.execute("ALTER TABLE adrf_sse_event SET TABLESPACE pg_default")
        server.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def publish_until_refused(first):
    """Publish numbers, and return the first one that is refused, and why."""
    for n in range(first, 1000):
        try:
            await publish_in_thread("news", n)
        except BrokerUnavailable as exc:
            return n, str(exc)
    raise AssertionError


async def test_publishers_learn_that_the_disk_is_full(faulty, records):
    async with subscribe("news") as events:
        await publish_in_thread("news", 1)
        with small_tablespace(faulty) as free:
            number, reason = await publish_until_refused(2)
            assert reason.endswith("Free disk space, or keep less with CHANNEL_HISTORY and CHANNEL_TTL.")
            free()
            await publish_in_thread("news", "next")
            assert await take(events, number) == [*range(1, number), "next"]
    assert levels(records) == []


async def test_publishers_and_streams_wait_for_a_free_connection(faulty, records):
    with ExitStack() as taken:
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(**faulty.parameters))
        with pytest.raises(BrokerUnavailable, match=r"Raise its max_connections, or use a connection pool for the req"):
            await publish_in_thread("news", "refused")
        entering = asyncio.create_task(subscribe("news").__aenter__())
        await wait_for_log(records, "Failed at receiving events from PostgreSQL")
        assert all("Raise its max_connections" in record.getMessage() for record in records())
    events = await entering
    await publish_in_thread("news", 1)
    assert await take(events, 1) == [1]
    await events.leave()
    assert levels(records) == ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("lock_timeout", r"Look for what holds the lock in pg_locks, or raise lock_timeout\."),
        ("statement_timeout", r"Look for what the statement waited for in pg_locks, or raise statement_timeout\."),
    ],
)
async def test_publishers_learn_that_another_one_hangs_with_the_lock(faulty, records, setting, hint):
    async with subscribe("news") as events, subscribe("news") as others:
        with psycopg.connect(**faulty.parameters) as other, altered(faulty, f"ALTER ROLE postgres SET {setting} = 300"):
            await reconnect()
            # As while it commits: the event has its ID, and the transaction the lock.
            other.execute("SELECT adrf_sse_publish('news', 'j' || 'data: 1\n\n'::bytea, 1000, %s)", [TTL])
            faulty.freeze_idle(other.info.backend_pid)
            with pytest.raises(BrokerUnavailable, match=hint):
                await publish_in_thread("news", 2)
            async with subscribe("news", last_event_id=0) as third:
                assert (await anext(third)).event == "reset"
            faulty.thaw()
            other.commit()
            await publish_in_thread("news", 3)
            assert await take(events, 2) == await take(others, 2) == [1, 3]
    assert levels(records) == []


async def test_other_publishers_wait_for_one_that_hangs_with_the_lock(faulty, records):
    async with subscribe("news") as events:
        with psycopg.connect(**faulty.parameters) as other:
            other.execute("SELECT adrf_sse_publish('news', 'j' || 'data: 1\n\n'::bytea, 1000, %s)", [TTL])
            faulty.freeze_idle(other.info.backend_pid)
            publishing = asyncio.create_task(apublish("news", 2))
            while not faulty.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                await asyncio.sleep(0.001)
            faulty.thaw()
            other.commit()
            await publishing
        assert await take(events, 2) == [1, 2]
    assert levels(records) == []


async def test_timeouts_of_sessions_do_not_end_the_listener(faulty, records):
    timeouts = ["statement_timeout = 2000", "lock_timeout = 1", "idle_in_transaction_session_timeout = 1"]
    with altered(faulty, *(f"ALTER ROLE postgres SET {timeout}" for timeout in timeouts)):
        async with subscribe("news") as events:
            [listener] = faulty.backends("adrf_sse")
            for n in range(5):
                await publish_in_thread("news", n)
                assert await take(events, 1) == [n]
            assert faulty.backends("adrf_sse") == [listener]
    assert levels(records) == []


async def test_a_listener_whose_statements_time_out_is_logged_once(faulty, records):
    with altered(faulty, "ALTER ROLE postgres SET lock_timeout = 50"):
        await reconnect()
        async with subscribe("news") as events:
            number = await publish_in_thread("news", 1)
            assert await take(events, 1) == [1]
            with psycopg.connect(**faulty.parameters) as other:
                other.execute("LOCK TABLE adrf_sse_event")
                taking = asyncio.create_task(take(events, 2))
                announced = f"{number} {number + 1} news"  # for that, the listener and then history are read
                faulty.execute("SELECT pg_notify(adrf_sse_topic(), %s)", announced)
                attempts = set()
                while len(attempts) < 5:
                    attempts.update(faulty.execute("SELECT virtualtransaction FROM pg_locks WHERE NOT granted"))
                    await asyncio.sleep(0.001)
            await publish_in_thread("news", 2)
            await publish_in_thread("news", 3)
            assert await taking == [2, 3]
            while levels(records).count("WARNING") < 2:  # the listener may succeed after the reader of history
                await asyncio.sleep(0.001)
    assert sorted(levels(records)) == ["ERROR", "ERROR", "WARNING", "WARNING"]
