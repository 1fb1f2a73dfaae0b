"""The privileges that docs/brokers/postgresql.md lists for a role that owns nothing."""

import re

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import NewRun, Write
from adrf_sse.channels import acurrent_event_id, apublish, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable
from tests.docs.examples import DOCS
from tests.support.postgres_server import Postgres

GRANTS = re.search(r"```sql\n(GRANT .*?)```", (DOCS / "brokers" / "postgresql.md").read_text(), re.DOTALL)[1]
RELATIONS = """
SELECT relname FROM pg_class WHERE relname LIKE 'adrf\\_sse\\_%' AND relkind IN ('r', 'S')
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')
"""
"""The tables, and the sequences that belong to no column of one."""


@pytest.fixture
def role(postgres_broker: Postgres, settings, monkeypatch):
    """Publish as the role ``app``, which owns nothing and has no privileges."""
    postgres_broker.execute("CREATE ROLE app LOGIN")
    described = {**connections.databases["events"], "USER": "app"}
    monkeypatch.setitem(connections.databases, "limited", described)
    broker = {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker", "OPTIONS": {"alias": "limited"}}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker, "CHANNEL_HISTORY": 1}
    yield postgres_broker
    postgres_broker.execute("DROP OWNED BY app; DROP ROLE app")


def close():
    """Close the connection of this thread."""
    connections["limited"].close()
    del connections["limited"]


def test_the_documented_privileges_name_every_table_and_sequence(postgres_broker):
    assert {name for [name] in postgres_broker.execute(RELATIONS)} == set(re.findall(r"adrf_sse_\w+", GRANTS))


async def test_the_documented_privileges_are_sufficient(role):
    role.execute(GRANTS)

    def publish_in_a_transaction():
        with transaction.atomic(using="limited"):
            publish("news", 2)
            publish("news", 3)

    def trim(history, age):
        with connections["limited"].cursor() as cursor:
            cursor.execute("SELECT adrf_sse_trim('news', %s, %s, 1000)", [history, age])
            return cursor.fetchone()[0]

    async with subscribe("news", last_event_id=await acurrent_event_id()) as events:
        await apublish("news", 1)
        assert (await anext(events)).data == 1
        await sync_to_async(publish_in_a_transaction)()
        assert [(await anext(events)).data for _ in "23"] == [2, 3]
    assert [await sync_to_async(trim)(1, 10**12), await sync_to_async(trim)(1, 0)] == [2, 1]
    await sync_to_async(close)()


async def test_the_documented_privileges_are_sufficient_for_runs(role):
    role.execute(GRANTS)
    runs = get_broker().runs
    run = NewRun(id="a", owner=None, starter="s", queued=True, lease=60, key="k", endings={"failed": [], "stopped": []})
    await runs.create(run)
    await runs.claim("a", "s", 60)
    await runs.write(Write(id="a", producer="s", lease=60, bodies=[b"tdata: a\n\n"]))
    assert [found.status for found in await runs.all(10)] == ["running"]
    assert await runs.end("a", "stopped")
    await runs.discard("a", "s")
    assert await runs.read("a", 1) is None
    assert await sync_to_async(get_broker().trim)() is not None
    await sync_to_async(close)()
    async with subscribe("news", last_event_id=1) as events:
        assert (await anext(events)).event == "reset"


def test_a_role_without_privileges_can_neither_read_nor_publish(role):
    parameters = {**role.parameters, "user": "app"}
    topic = role.execute("SELECT adrf_sse_topic()")[0][0]
    with psycopg.connect(**parameters, autocommit=True) as connection:
        connection.execute(f'LISTEN "{topic}"')
        number = role.execute("SELECT adrf_sse_publish('news', 'tsecret', 1000, 1000000000)")[0][0]
        [notification] = connection.notifies(stop_after=1)
        assert str(number) in notification.payload
        assert "secret" not in notification.payload
        for statement in ("SELECT body FROM adrf_sse_event", "SELECT adrf_sse_publish('news', 't', 1000, 1000000000)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_error_for_missing_privileges_refers_to_the_documentation(role):
    with pytest.raises(BrokerUnavailable, match=r"permission denied .* Grant its user .*brokers/postgresql/#a-role"):
        publish("news", "x")
    close()
