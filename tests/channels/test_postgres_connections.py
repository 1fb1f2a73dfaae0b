"""Publishing through PostgreSQL works with every kind of connection that Django has, and in every schema."""

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import OperationalError, connections, transaction

from adrf_sse.channels import apublish, current_event_id, publish, subscribe
from adrf_sse.runtime.contexts import has_connected
from tests.channels.test_postgres_transactions import atomic, in_thread, kept, rolled_back
from tests.support.postgres_server import postgres_alias

pytestmark = pytest.mark.usefixtures("postgres_broker")

CONNECTIONS = {
    "default": {},
    "no persistent connections": {"CONN_MAX_AGE": 0},
    "persistent connections": {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
    "repeatable read": {"OPTIONS": {"isolation_level": 3}},
    "serializable": {"OPTIONS": {"isolation_level": 4}},
    "parameters bound by the server": {"OPTIONS": {"server_side_binding": True}},
    "psycopg's pool": {"OPTIONS": {"pool": {"min_size": 1, "max_size": 8}}},
    "a pool, serializable": {
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 8}, "isolation_level": 4, "server_side_binding": True}
    },
    "no server-side cursors": {"DISABLE_SERVER_SIDE_CURSORS": True},
}


@pytest.fixture(params=CONNECTIONS.values(), ids=list(CONNECTIONS))
def variant(request, settings, postgres_broker):
    """Configure the broker with an alias that connects in another way, and return the server."""
    with postgres_alias(settings, postgres_broker, "variant", **request.param):
        yield postgres_broker


@pytest.mark.usefixtures("variant")
async def test_every_kind_of_connection_publishes_in_transactions_and_outside():
    def write():
        with rolled_back("variant"):
            publish("news", "rolled back")
        with transaction.atomic("variant"):
            assert publish("news", 1) is None
            assert in_thread(publish, "news", 2, alias="variant") is not None
            with rolled_back("variant"):
                publish("news", "savepoint")
            publish("news", 3)
        numbers = publish("news", 4), current_event_id()
        connections["variant"].close()
        return numbers

    async with subscribe("news", last_event_id=await sync_to_async(current_event_id)()) as events:
        number, position = await sync_to_async(write)()
        received = [await anext(events) for _ in range(4)]
    assert [event.data for event in received] == [2, 1, 3, 4]
    assert int(received[-1].id) == number == position


def test_concurrent_publishers_do_not_conflict_at_any_isolation_level(variant):
    def write(number):
        with transaction.atomic("variant"):
            publish("news", [number, 0])
            if number:
                in_thread(write, number - 1, alias="variant")  # commits while this transaction is open
            publish("news", [number, 1])

    for _ in range(3):
        in_thread(write, 3, alias="variant")
    assert kept(variant) == [[number, part] for number in range(4) for part in (0, 1)] * 3


def test_conflicts_of_serializable_transactions_roll_their_events_back(settings, postgres_broker):
    postgres_broker.execute("CREATE TABLE IF NOT EXISTS stock (item integer, amount integer)")
    postgres_broker.execute("DELETE FROM stock")

    def write(item):
        with transaction.atomic("strict"), connections["strict"].cursor() as cursor:
            cursor.execute("SELECT sum(amount) FROM stock")
            if item:
                in_thread(write, item - 1, alias="strict")
            cursor.execute("INSERT INTO stock VALUES (%s, 1)", [item])
            publish("stock", item)

    strict = postgres_alias(settings, postgres_broker, "strict", OPTIONS={"isolation_level": 4})
    with strict, pytest.raises(OperationalError, match="could not serialize"):
        in_thread(write, 1, alias="strict")
    assert kept(postgres_broker) == [0]


# Schemas


async def test_the_search_path_of_the_caller_may_change_before_the_commit():
    def write():
        with atomic(), connections["events"].cursor() as cursor:
            publish("news", 1)
            cursor.execute("CREATE SCHEMA IF NOT EXISTS tenant")
            cursor.execute("SET LOCAL search_path TO tenant, public")
            publish("news", 2)
            cursor.execute("SET LOCAL search_path TO pg_catalog")

    async with subscribe("news") as events:
        await sync_to_async(write)()
        assert [(await anext(events)).data for _ in range(2)] == [1, 2]


SCHEMA = '"Other schema\'s"'


@pytest.fixture
def other_schema(settings, postgres_broker):
    """Configure the broker with an alias whose tables are in another schema."""
    postgres_broker.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    options = {"options": "-c search_path=" + SCHEMA.replace(" ", "\\ ")}
    broker = settings.ADRF_SSE
    with postgres_alias(settings, postgres_broker, "other_schema", OPTIONS=options):
        theirs, settings.ADRF_SSE = settings.ADRF_SSE, broker
        yield theirs


async def test_two_schemas_of_a_database_do_not_mix(settings, postgres_broker, other_schema):
    stage = "SELECT {}.adrf_sse_stage('news', %s, 1000, 86400000000)"

    def write():
        with atomic(), connections["events"].cursor() as cursor:
            cursor.execute(stage.format("public"), [b"jdata: 1\n\n"])
            cursor.execute(stage.format(SCHEMA), [b"jdata: 2\n\n"])
            cursor.execute(stage.format("public"), [b"jdata: 3\n\n"])
            cursor.execute(stage.format(SCHEMA), [b"jdata: 4\n\n"])
        connections["events"].close()

    async with subscribe("news") as ours:
        await apublish("news", 0)
        settings.ADRF_SSE = other_schema
        async with subscribe("news") as theirs:
            await sync_to_async(write)()
            assert [(await anext(theirs)).data for _ in range(2)] == [2, 4]
            await apublish("news", 5)
            assert (await anext(theirs)).data == 5
        await sync_to_async(lambda: connections["other_schema"].close())()
        assert [(await anext(ours)).data for _ in range(3)] == [0, 1, 3]
    assert kept(postgres_broker) == [0, 1, 3]


# Asynchronous code, as a server runs it: the synchronous code of each request has a thread of its own


async def test_asynchronous_code_publishes_without_a_connection_of_django(postgres_broker):
    async with subscribe("news") as events, ThreadSensitiveContext() as context:
        number = await apublish("news", "x")
        assert (await anext(events)).number == number
        assert not has_connected(context)


async def test_asynchronous_code_joins_the_transaction_of_its_thread(postgres_broker):
    async with ThreadSensitiveContext():
        block = transaction.atomic("events")
        await sync_to_async(block.__enter__)()
        assert await apublish("news", "x") is None
        await sync_to_async(transaction.set_rollback)(True, "events")
        await sync_to_async(block.__exit__)(None, None, None)
        assert await apublish("news", "y")
        await sync_to_async(lambda: connections["events"].close())()
    assert kept(postgres_broker) == ["y"]
