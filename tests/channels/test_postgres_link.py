"""The connection of an event loop to PostgreSQL: cancelled callers, loops that end, other loops, forks and TLS."""

import asyncio
import gc
import os
import random
import socket
import sys
from contextlib import suppress
from threading import Thread

import psycopg
import pytest
import trustme

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.link import Link
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.postgres_server import closing, use_postgres


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


async def wait_until_idle(server):
    """Wait until the broker has neither connections nor tasks."""
    while asyncio.all_tasks() != {asyncio.current_task()} or await asyncio.to_thread(server.backends, "adrf_sse"):
        await asyncio.sleep(0.001)


def terminate(server):
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'adrf_sse'")


async def read():
    await get_broker().read(["news"], 0, 5)


async def come_and_go():
    async with subscribe(f"own.{random.randrange(100)}", "news", last_event_id=0):
        pass


async def for_ever(action):
    while True:
        with suppress(BrokerUnavailable):
            await action()


@pytest.mark.parametrize("action", [read, come_and_go])
@pytest.mark.parametrize("is_cut", [False, True], ids=["", "while connections are cut"])
async def test_a_cancelled_task_stops(faulty, action, is_cut):
    tasks = []
    for _ in range(100):
        task = asyncio.create_task(for_ever(action))
        tasks.append(task)
        for _ in range(random.randrange(40)):
            await asyncio.sleep(0)
        if is_cut and random.random() < 0.05:
            await asyncio.to_thread(terminate, faulty)
        task.cancel()
    await asyncio.wait(tasks)
    assert subscriber_counts() == {}
    await wait_until_idle(faulty)


async def test_a_connection_that_is_opened_for_nobody_closes(faulty):
    for _ in range(30):
        entering = asyncio.create_task(subscribe("news").__aenter__())
        await asyncio.sleep(random.uniform(0, 0.02))
        entering.cancel()
        with suppress(asyncio.CancelledError):
            await (await entering).leave()
    assert subscriber_counts() == {}
    await wait_until_idle(faulty)


async def test_a_subscriber_that_is_cancelled_while_it_reads_history_does_not_disturb_others(faulty):
    async with subscribe("news") as events:
        [listener] = faulty.backends("adrf_sse")
        with psycopg.connect(**faulty.parameters) as other:
            other.execute("LOCK TABLE adrf_sse_channel")
            entering = asyncio.create_task(subscribe("news", last_event_id=0).__aenter__())
            while not faulty.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.001)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
        await apublish("news", 1)
        assert await take(events, 1) == [1]
        assert faulty.backends("adrf_sse") == [listener]
    await wait_until_idle(faulty)


def test_a_loop_can_end_while_a_statement_is_executed(faulty):
    async def main():
        link = Link(Database("faulty", None), listens=True)
        executing = asyncio.create_task(link.execute("sleep", "SELECT pg_sleep(60)"))
        while not faulty.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            await asyncio.sleep(0.001)
        return executing

    executing = asyncio.run(main())
    assert executing.cancelled()
    del executing
    gc.collect()
    while faulty.backends("adrf_sse"):
        pass


def test_a_loop_can_end_with_subscribers(faulty):
    async def main():
        events = subscribe("news")
        await events.__aenter__()
        await apublish("news", 1)
        assert await take(events, 1) == [1]

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    while faulty.backends("adrf_sse"):
        pass


async def test_each_loop_has_its_own_connection(faulty):
    ready = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    @closing
    def receive():
        async def main():
            async with subscribe("news") as events:
                loop.call_soon_threadsafe(ready.release)
                return await take(events, 3)

        return asyncio.run(main())

    receiving = [asyncio.create_task(asyncio.to_thread(receive)) for _ in range(3)]
    for _ in receiving:
        await ready.acquire()
    assert len(faulty.backends("adrf_sse")) == 3
    for n in range(3):
        await apublish("news", n)
    assert await asyncio.gather(*receiving) == [[0, 1, 2]] * 3
    await wait_until_idle(faulty)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no uvloop")
def test_connections_are_replaced_on_uvloop(faulty):
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with subscribe("news") as events:
            for n in range(5):
                await apublish("news", n)
                assert await take(events, 1) == [n]
                terminate(faulty)
        await wait_until_idle(faulty)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_forked_child_leaves_the_connection_of_its_parent_alone(faulty):
    async with subscribe("news") as events:
        await apublish("news", "parent")
        assert await take(events, 1) == ["parent"]
        [listener] = faulty.backends("adrf_sse")
        child = os.fork()
        if child == 0:
            try:
                _work_in_child()
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        await apublish("news", "again")
        assert await take(events, 2) == ["child", "again"]
        assert faulty.backends("adrf_sse") == [listener]


def _work_in_child():
    @closing
    def work():
        publish("news", "child")
        page = asyncio.run(get_broker().read(["news"], 0, 5))
        assert [event.data for event in page.events] == ["parent", "child"]

    thread = Thread(target=lambda: (work(), gc.collect(), os._exit(0)))
    thread.start()
    thread.join()


@pytest.mark.slow
async def test_a_host_that_does_not_answer_is_passed_over(faulty, settings, impatient):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = f"{silent.getsockname()[1]},{faulty.port}"
        use_postgres(settings, faulty, "faulty", listen={"host": "127.0.0.1,127.0.0.1", "port": ports})
        async with subscribe("news") as events:
            await apublish("news", 1)
            assert await take(events, 1) == [1]


async def test_large_notifications_arrive_over_tls(faulty, settings):
    certificate = trustme.CA().issue_cert("127.0.0.1")
    folder = faulty.new_folder(f"tls-{random.randrange(10**9)}")
    certificate.private_key_pem.write_to_path(folder / "key")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate")
    (folder / "key").chmod(0o600)
    for name in ("key", "certificate"):
        faulty.own(folder / name)
    faulty.execute(f"ALTER SYSTEM SET ssl_key_file = '{folder}/key'")
    faulty.execute(f"ALTER SYSTEM SET ssl_cert_file = '{folder}/certificate'")
    faulty.execute("ALTER SYSTEM SET ssl = on")
    faulty.execute("SELECT pg_reload_conf()")
    while faulty.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") != [(True,)]:
        await asyncio.sleep(0.001)
    use_postgres(settings, faulty, "faulty", listen={"sslmode": "require"})
    async with subscribe("news") as events:
        for n in range(100):
            await asyncio.to_thread(notify_garbage, faulty, random.randrange(20))
            await apublish("news", n)
            assert await take(events, 1) == [n]


def notify_garbage(server, count):
    server.execute("SELECT pg_notify(adrf_sse_topic(), n || repeat('x', 7900)) FROM generate_series(1, %s) AS n", count)
