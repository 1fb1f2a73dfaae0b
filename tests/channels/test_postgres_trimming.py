"""The PostgreSQL broker deletes old events from time to time. Readers see the same before and after."""

from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import Trimmed
from adrf_sse.channels import current_event_id, publish
from tests.channels.test_postgres_locks import waiting
from tests.channels.test_postgres_transactions import in_thread
from tests.runs.test_stores import new_run, write
from tests.support.postgres_server import postgres_alias
from tests.support.redis_server import use_redis

DAY = 86_400_000_000
"""Microseconds, the unit of IDs."""


@pytest.fixture
def server(postgres_broker, settings):
    """A server whose history was begun two days ago, with five events kept of each channel for a day."""
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5, "CHANNEL_TTL": 86400}
    postgres_broker.execute(
        "UPDATE adrf_sse_state SET forgotten = forgotten - %s, position = position - %s", *[2 * DAY] * 2
    )
    return postgres_broker


def insert(server, channel, count, age=0):
    """Insert events that were published so many microseconds ago, which nobody has trimmed, and return their IDs."""
    rows = server.execute(
        "INSERT INTO adrf_sse_event SELECT adrf_sse_now() - %s + number, %s, convert_to('jdata: ' || number, 'UTF8') "
        "FROM generate_series(1, %s) AS number RETURNING id",
        age,
        channel,
        count,
    )
    return [number for [number] in rows]


@async_to_sync
async def pages(*channels, after):
    """Return what readers see of channels after each of these IDs."""
    seen = [await get_broker().read(channels, number, 1000) for number in after]
    return [([event.number for event in page.events], page.complete, page.position, set(page.missed)) for page in seen]


def numbers(server):
    return [number for [number] in server.execute("SELECT id FROM adrf_sse_event ORDER BY id")]


def test_by_count_the_first_events_of_each_channel_are_deleted_and_readers_see_no_difference(server):
    long, short = insert(server, "long", 12), insert(server, "short", 3)
    after = [long[0] - 1, *long, *short]
    before = pages("long", after=after), pages("short", after=after), pages("long", "short", after=after)
    assert before[0][0] == (long[-5:], True, short[-1], {"long"})
    assert get_broker().trim() == Trimmed(7, 0)
    assert numbers(server) == [*long[-5:], *short]
    assert server.execute("SELECT name, dropped FROM adrf_sse_channel") == [("long", long[6])]
    assert before == (pages("long", after=after), pages("short", after=after), pages("long", "short", after=after))
    assert get_broker().trim() == Trimmed(0, 0)


def test_by_age_all_old_events_are_deleted_and_readers_see_no_difference(server):
    old, new = insert(server, "news", 3, age=DAY + 60_000_000), insert(server, "news", 2)
    after = [*old, *new]
    before = pages("news", after=after)
    assert before[0][0] == new
    assert before[0][3] == before[2][3] == {"news"}, "nobody knows whether there were more old events"
    assert get_broker().trim() == Trimmed(3, 0)
    assert numbers(server) == new
    assert before == pages("news", after=after)
    assert server.execute("SELECT forgotten, position FROM adrf_sse_state") == [(old[-1], old[-1])]


def test_the_position_does_not_go_back_when_all_events_are_deleted(server):
    *_, last = insert(server, "news", 7, age=DAY + 60_000_000)
    assert current_event_id() == last
    get_broker().trim()
    assert numbers(server) == []
    assert current_event_id() == last
    missed = [page.pop() for page in map(list, pages("news", after=[last - 1, last, last + 1]))]
    assert missed == [{"news"}, set(), {"news"}], "only a client that has seen the last event has missed nothing"
    assert publish("news", "next") > last


def test_marks_of_channels_are_deleted_when_all_that_is_older_has_been(server, settings):
    old, new = insert(server, "old", 9, age=DAY - 60_000_000), insert(server, "new", 9)
    get_broker().trim()
    marks = "SELECT name, dropped FROM adrf_sse_channel ORDER BY dropped"
    assert server.execute(marks) == [("old", old[3]), ("new", new[3])]
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_TTL": 3600}
    get_broker().trim()
    assert server.execute(marks) == [("new", new[3])]
    assert numbers(server) == new[4:]


def test_publishers_trim_the_channel_to_which_they_publish(server):
    insert(server, "news", 500)
    insert(server, "old", 500, age=DAY + 60_000_000)
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute("SELECT setseed(0.5)")
        for _ in range(300):
            connection.execute("SELECT adrf_sse_publish('news', 'x', 5, %s)", [DAY])
        for _ in range(300):
            connection.execute("SELECT adrf_sse_stage('news', 'x', 5, %s)", [DAY])
    assert server.execute("SELECT count(*) FROM adrf_sse_event WHERE channel = 'old'") == [(0,)]
    assert server.execute("SELECT count(*) < 605 FROM adrf_sse_event WHERE channel = 'news'") == [(True,)]


def test_many_connections_trim_and_publish_at_the_same_time(server):
    def trim(_):
        return in_thread(lambda: [get_broker().trim() for _ in range(5)])

    def publish_to(channel):
        def publish_all():
            for number in range(100):
                with transaction.atomic("events"):
                    publish(channel, number)
                    with connections["events"].cursor() as cursor:
                        cursor.execute("SELECT adrf_sse_trim(%s, 5, %s, 10)", [channel, DAY])
                publish(channel, number)

        return in_thread(publish_all)

    with ThreadPoolExecutor(6) as threads:
        results = [*threads.map(trim, range(2)), *threads.map(publish_to, ["a", "a", "b", "c"])]
    assert len(results) == 6
    get_broker().trim()
    assert server.execute("SELECT channel, count(*) FROM adrf_sse_event GROUP BY 1 ORDER BY 1") == [
        ("a", 5),
        ("b", 5),
        ("c", 5),
    ]


@pytest.mark.parametrize("level", [3, 4], ids=["repeatable read", "serializable"])
def test_transactions_with_a_snapshot_do_not_trim_but_the_command_does(server, settings, level):
    insert(server, "news", 10)
    with postgres_alias(settings, server, "strict", OPTIONS={"isolation_level": level}):
        with transaction.atomic("strict"), connections["strict"].cursor() as cursor:
            cursor.execute("SELECT adrf_sse_trim('news', 5, %s, 10)", [DAY])
            assert cursor.fetchone() == (0,)
            publish("news", 1)
        assert len(numbers(server)) == 11
        assert get_broker().trim() == Trimmed(6, 0)


# sse_trim


def trimmed():
    output = StringIO()
    call_command("sse_trim", stdout=output)
    return output.getvalue()


def test_the_command_deletes_everything_in_batches(server):
    kept = insert(server, "long", 2503)[-5:]
    insert(server, "old", 1001, age=DAY + 60_000_000)
    kept += insert(server, "short", 5)
    kept += insert(server, "longer", 6)[1:]
    assert trimmed() == "Deleted 3500 events of channels, and 0 events and records of expired runs.\n"
    assert numbers(server) == sorted(kept)
    assert trimmed().startswith("Deleted 0 events")


def test_the_command_deletes_expired_runs(server):
    @async_to_sync
    async def run():
        await get_broker().runs.create(new_run())
        await get_broker().runs.write(write("a", "b", status="completed"))

    run()
    assert get_broker().trim() == Trimmed(0, 0), "runs are kept until they expire, whatever CHANNEL_HISTORY is"
    server.execute("UPDATE adrf_sse_run SET expires = 1")
    position = current_event_id()
    assert trimmed() == "Deleted 0 events of channels, and 4 events and records of expired runs.\n"
    assert (numbers(server), current_event_id()) == ([], position)


def test_the_command_waits_for_a_transaction_that_trims(server):
    insert(server, "news", 8)
    insert(server, "other", 8)
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic("events"), connections["events"].cursor() as cursor:
            cursor.execute("SELECT adrf_sse_trim('news', 5, %s, 10)", [DAY])
            command = threads.submit(in_thread, trimmed)
            waiting(server)
        assert command.result().startswith("Deleted 3 events")


def test_the_command_says_that_other_brokers_need_it_not(settings):
    settings.ADRF_SSE = {}
    assert trimmed() == "MemoryBroker always deletes old events itself. There is nothing to do.\n"
    use_redis(settings, "redis://127.0.0.1:1/0")
    assert trimmed() == "RedisBroker always deletes old events itself. There is nothing to do.\n"


def test_the_command_says_what_to_do_if_the_tables_are_missing(server):
    server.execute("ALTER TABLE adrf_sse_event RENAME TO gone")
    try:
        with pytest.raises(CommandError, match=r"must delete old events, .* Run: manage\.py migrate --database=events"):
            trimmed()
    finally:
        server.execute("ALTER TABLE gone RENAME TO adrf_sse_event")


# Space


WRITE = """
DO $$ BEGIN
    FOR number IN 1..2000 LOOP
        PERFORM adrf_sse_publish('channel.' || number % 10, 'x', 100, 86400000000);
        COMMIT;
        PERFORM adrf_sse_stage('channel.' || number % 10, 'x', 100, 86400000000);
        COMMIT;
    END LOOP;
END $$
"""


@pytest.mark.slow
def test_the_space_of_deleted_events_is_used_again(server):
    sizes = []
    for _ in range(4):
        server.execute(WRITE)
        server.execute("VACUUM adrf_sse_event, adrf_sse_staged")
        [[kept, size]] = server.execute(
            "SELECT count(*), pg_total_relation_size('adrf_sse_event') + pg_total_relation_size('adrf_sse_staged') "
            "FROM adrf_sse_event"
        )
        assert kept < 4000
        sizes.append(size)
    assert sizes[-1] < 2 * sizes[1], sizes
