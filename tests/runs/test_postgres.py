"""What is particular to runs in PostgreSQL: transactions, concurrency, outages, and the rows that remain."""

import asyncio
import gc
import random
import threading
import weakref
from collections import Counter

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.postgres import PostgresBroker
from adrf_sse.brokers.runs import NewRun, Write, run_channel
from adrf_sse.runs import follow, produce_sync, start_run, stop_run
from adrf_sse.runs.begin import Start
from tests.runs.test_outages import check_followers
from tests.runs.test_stores import ENDINGS, history, new_run, write
from tests.support.postgres_server import cluster, postgres_alias
from tests.support.runs import COMPLETED, STOPPED, Gate, all_of, contents, words

ROWS = """
SELECT (SELECT count(*) FROM adrf_sse_run), (SELECT count(*) FROM adrf_sse_event),
    (SELECT count(*) FROM adrf_sse_channel)
"""


@pytest.fixture
def server(postgres_broker):
    return postgres_broker


@pytest.fixture
def rows(server):
    """Return the numbers of runs, events and channels in the tables."""
    return lambda: server.execute(ROWS)[0]


def with_settings(settings, **values):
    settings.ADRF_SSE = {**settings.ADRF_SSE, **values}


def trim(server, most=1000):
    return server.execute("SELECT adrf_sse_trim_runs(%s)", most)[0][0]


def trimming(server):
    """Hold the lock of what trims, so that nothing else does."""
    connection = psycopg.connect(**server.parameters)
    connection.execute("SELECT pg_advisory_xact_lock('adrf_sse_event'::regclass::oid::integer, 2)")
    return connection


# What remains


async def test_nothing_remains_of_expired_runs(server, settings, rows):
    with_settings(settings, RUN_TTL=0.001, RUN_LEASE=0.001)
    runs = get_broker().runs
    for number in range(5):
        await runs.create(new_run(f"r{number % 3}", key=f"k{number}"))
        completed = Write(id=f"r{number % 3}", producer="p", lease=60.0, bodies=[b"tdata: a\n\n"], status="completed")
        await runs.write(completed)
    await runs.create(new_run("abandoned", key="k", lease=0.0))
    await runs.create(new_run("discarded"))
    await runs.discard("discarded", "p")
    while rows() != (0, 0, 0):
        trim(server)


async def test_creating_runs_removes_those_that_have_expired(server, settings, rows):
    with_settings(settings, RUN_TTL=1e-6)
    runs = get_broker().runs
    for number in range(50):
        await runs.create(new_run(f"r{number}", key=f"k{number}"))
        await runs.write(Write(id=f"r{number}", producer="p", lease=60.0, bodies=[b"tdata: a\n\n"], status="completed"))
    assert rows() <= (2, 4, 2)


async def test_the_position_never_decreases_when_events_of_runs_are_deleted(server, settings, rows):
    with_settings(settings, RUN_TTL=1e-6)
    broker = get_broker()
    await broker.runs.create(new_run())
    last = (await broker.runs.write(write("a", status="completed"))).last_id
    assert trim(server) == 3
    assert rows() == (0, 0, 0)
    assert (await broker.read(["news"], None, 1)).position == last


async def test_a_long_run_is_deleted_little_by_little_and_hidden_at_once(server, settings):
    with_settings(settings, RUN_TTL=0.001)
    runs = get_broker().runs
    await runs.create(new_run())
    first = (await runs.write(write("a"))).last_id
    await runs.write(write(*"bcdefg", after=1, status="completed"))
    assert await history() == [*"abcdefg", "completed"]
    assert trim(server, 3) == 3
    assert await history() == []
    assert (await get_broker().read([run_channel("r1")], first, 10)).missed
    assert [trim(server, 3), trim(server, 3), trim(server, 3)] == [3, 3, 0]


async def test_events_of_a_former_run_are_hidden_and_deleted(server, rows):
    runs = get_broker().runs
    await runs.create(new_run())
    former = await runs.write(write("a", status="completed"))
    with trimming(server):
        await runs.create(new_run())
        await runs.write(write("b"))
        assert rows() == (2, 3, 1)
        assert await history() == ["b"]
        assert not (await runs.read("r1", former.last_id)).has_event
    assert trim(server) == 3
    assert rows() == (1, 1, 1)
    assert await history() == ["b"]


async def test_a_key_whose_run_has_expired_starts_a_new_run(server, settings, rows):
    with_settings(settings, RUN_TTL=1e-6)
    runs = get_broker().runs
    await runs.create(new_run(key="k1"))
    await runs.end("r1", "stopped")
    with_settings(settings, RUN_TTL=60)
    with trimming(server):
        assert (await runs.create(new_run("r2", key="k1")))[1] == "new"
        assert (await runs.create(new_run("r3", key="k1")))[0].id == "r2"
        assert (await runs.create(new_run("r1")))[1] == "new"
    assert [run.id for run in await runs.all(10)] == ["r1", "r2"]


async def test_endings_may_contain_any_byte(server):
    endings = {**ENDINGS, "stopped": [b"te\0\xff", b"!t\0\xff"]}
    runs = get_broker().runs
    await runs.create(NewRun(id="r1", owner=None, starter="p", queued=False, lease=60, endings=endings))
    await runs.end("r1", "stopped")
    assert server.execute("SELECT body FROM adrf_sse_event ORDER BY id") == [(b"te\0\xff",), (b"!t\0\xff",)]


# Transactions of the project


def in_a_transaction(function):
    """Call in a thread, in a transaction that is rolled back."""

    def call():
        try:
            with transaction.atomic(using="events"):
                result = function()
                transaction.set_rollback(True, using="events")
            return result
        finally:
            connections["events"].close()

    return sync_to_async(call, thread_sensitive=False)()


async def test_a_run_that_is_started_in_a_transaction_is_independent_of_it(server):
    followed = []

    def start():
        run_id = async_to_sync(start_run)(words("a"))
        followed.append(async_to_sync(all_of)(run_id))
        return run_id

    run_id = await in_a_transaction(start)
    assert followed == [[(None, "a"), COMPLETED]]
    assert await all_of(run_id) == [(None, "a"), COMPLETED]


async def test_a_stop_in_a_transaction_reaches_the_producer_at_once(server, settings):
    with_settings(settings, RUN_LEASE=300)
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        gate.put("a")
        await anext(events)
    loop = asyncio.get_running_loop()

    def stop():
        async_to_sync(stop_run)(run_id)
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(gate.closed.wait(), 30), loop).result()

    await in_a_transaction(stop)
    assert await all_of(run_id) == [(None, "a"), STOPPED]


def test_a_worker_that_has_produced_many_runs_keeps_nothing_of_them_open(server):
    loops, counts = [], []

    async def source():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        yield "a"

    @async_to_sync
    async def queued():
        start = Start()
        await start.create(queued=True)
        return start.run_id

    for _ in range(5):
        assert produce_sync(queued(), source()) == "completed"
        counts.append((len(server.backends()), threading.active_count()))
    while counts[-1] > counts[0]:  # PostgreSQL closes its side a moment later
        gc.collect()  # psycopg leaves a connection that is given up while it is opened to the garbage collection
        counts.append((len(server.backends()), threading.active_count()))
    gc.collect()
    assert [loop() for loop in loops].count(None) >= len(loops) - 1


# Concurrency


class Store:
    """A process of its own, as far as the broker can tell: it has connections of its own."""

    def __init__(self):
        self.broker = PostgresBroker("events")
        self.runs = self.broker.runs


async def test_of_all_that_notice_a_loss_only_one_ends_and_logs_the_run(server, caplog):
    stores = [Store() for _ in range(6)]
    await stores[0].runs.create(new_run(lease=0.05))
    await asyncio.gather(*(store.runs.read("warm") for store in stores))
    async with asyncio.timeout(30):
        while server.execute("SELECT lease > adrf_sse_now() FROM adrf_sse_run") == [(True,)]:
            await asyncio.sleep(0.01)
    calls = []
    for store in stores:
        calls += [store.runs.read("r1"), store.runs.write(write("x")), store.runs.claim("r1", "q", 1.0)]
    for found in await asyncio.gather(*calls):
        assert (found[0] if isinstance(found, tuple) else found).status == "lost"
    assert await history() == ["lost"]
    assert len([record for record in caplog.records if "is lost" in record.getMessage()]) == 1


@pytest.fixture(params=["read committed", "serializable"])
def isolation(request, server):
    """The isolation level of new connections."""
    server.execute(f"ALTER ROLE postgres SET default_transaction_isolation TO '{request.param}'")
    yield
    server.execute("ALTER ROLE postgres RESET ALL")


@pytest.mark.usefixtures("isolation")
async def test_a_loss_is_logged_also_if_whoever_notices_it_is_cancelled(server, caplog):
    runs = get_broker().runs
    await runs.create(new_run(lease=0.0))
    reading = asyncio.create_task(runs.read("r1"))
    await asyncio.sleep(0)  # the task has begun, and its statement has not
    reading.cancel()
    await asyncio.wait([reading])
    assert (await runs.read("r1")).status == "lost"
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["The run r1 is lost"]


async def test_one_of_many_that_start_a_run_at_once_has_started_it(server):
    stores = [Store() for _ in range(6)]
    for number in range(20):
        same_id = [store.runs.create(new_run(f"c{number}")) for store in stores]
        same_key = [store.runs.create(new_run(f"{number}.{i}", key=f"k{number}")) for i, store in enumerate(stores)]
        made = await asyncio.gather(*same_id, *same_key)
        assert sorted(created for _, created in made[:6]) == [*["active"] * 5, "new"]
        assert sorted(created for _, created in made[6:]) == ["new", *["repeated"] * 5]
        assert len({run.id for run, _ in made[6:]}) == 1


DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.parametrize("ttl", [1e-6, pytest.param(0.01, marks=pytest.mark.slow)])
async def test_operations_of_many_processes_never_wait_for_each_other_in_a_circle(server, settings, ttl):
    with_settings(settings, RUN_TTL=ttl)
    before = server.execute(DEADLOCKS)
    seed = random.randrange(10**6)
    print("seed", seed)
    done = Counter()

    async def work(store, choose):
        runs, name = store.runs, f"p{choose.random()}"
        for _ in range(100):
            run_id, key = f"r{choose.randrange(3)}", choose.choice([None, f"k{choose.randrange(3)}"])
            lease, bodies = choose.choice([0.001, 60.0]), [b"tdata: a\n\n"] * choose.randrange(20)
            operation, *arguments = choose.choice([
                (runs.create, new_run(run_id, key=key, starter=name, lease=lease)),
                (runs.write, Write(id=run_id, producer=name, lease=lease, bodies=bodies)),
                (runs.write, Write(id=run_id, producer=name, lease=lease, status="completed")),
                (runs.end, run_id, "stopped"),
                (runs.read, run_id),
                (runs.claim, run_id, name, lease),
                (runs.discard, run_id, name),
                (runs.all, 10),
                (store.broker.apublish_now, "news", b"tdata: x\n\n"),
                (asyncio.to_thread, trim, server, 5),
            ])  # fmt: skip
            await operation(*arguments)
            done[name] += 1

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(work(Store(), random.Random(f"{seed}.{number}")))
    assert list(done.values()) == [100] * 6
    assert server.execute(DEADLOCKS) == before  # another test has one on purpose


async def test_a_notification_names_the_channel_of_many_events_once(server):
    """Otherwise it would be too long, and make all streams of all processes read history."""
    [[topic]] = server.execute("SELECT adrf_sse_topic()")
    runs = get_broker().runs
    await runs.create(new_run())
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(f'LISTEN "{topic}"')
        last = (await runs.write(write(*range(1000)))).last_id
        [notification] = connection.notifies(stop_after=1, timeout=30)
    assert notification.payload.endswith(f" {last - 999} adrf-sse.run:r1*1000")


async def test_a_follower_receives_many_events_that_are_published_together(server):
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        gate.put("a")
        assert (await anext(events)).data == "a"
        gate.put(*range(1000), None)
        async with asyncio.timeout(30):
            rest = contents([event async for event in events])
    assert rest == [*((None, number) for number in range(1000)), COMPLETED]


# Outages


async def disturb(server, choose, ended, kinds):
    """Harm PostgreSQL until the run has ended, at least once in each way."""
    kinds = list(kinds)
    while kinds or not ended.is_set():
        kind = kinds.pop() if kinds else "terminate"
        if kind == "restart":
            await asyncio.to_thread(server.stop, choose.choice(["immediate", "fast"]))
            await asyncio.sleep(choose.uniform(0, 0.3))
            await asyncio.to_thread(server.start)
        else:
            for pid in await asyncio.to_thread(server.backends):
                if choose.random() < 0.5:
                    await asyncio.to_thread(server.execute, "SELECT pg_terminate_backend(%s)", pid)
        await asyncio.sleep(choose.uniform(0, 0.2))


@pytest.fixture
def faulty(settings, django_db_blocker):
    """A server for one test, which may disturb it."""
    with cluster(max_connections=40) as server, django_db_blocker.unblock(), postgres_alias(settings, server, "faulty"):
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [["restart", "restart"], ["terminate"] * 10], ids=lambda each: each[0])
async def test_each_follower_receives_every_event_once_while_postgresql_is(faulty, settings, kinds):
    with_settings(settings, RUN_LEASE=60)
    await check_followers(lambda choose, done: disturb(faulty, choose, done, kinds))
