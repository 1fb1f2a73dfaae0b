"""PgBouncer in front of PostgreSQL, in transaction mode, with ``listen``, which goes past it, and without."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from adrf_sse.channels import apublish, publish, subscribe
from tests.support.pgbouncer_server import pgbouncer
from tests.support.postgres_server import closing, postgres_alias


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


@pytest.fixture(params=[True, False], ids=["listen", "no listen"])
def pooled(request, faulty, settings):
    """Connect through a pooler; return the alias, and whether the listener goes past it."""
    with pgbouncer(faulty) as port:
        alias = f"pooled-{port}"
        with postgres_alias(settings, faulty, alias, PORT=str(port)):
            if request.param:
                options = {"alias": alias, "listen": {"port": faulty.port}}
                broker = settings.ADRF_SSE["BROKER"] | {"OPTIONS": options}
                settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}
            yield alias, request.param
            asyncio.run(sync_to_async(lambda: connections[alias].close())())


@closing
def write(alias, writer):
    for n in range(0, 30, 3):
        publish("news", [writer, n])
        with transaction.atomic(alias):
            publish("news", [writer, n + 1])
            publish("news", [writer, n + 2])


async def test_streams_receive_all_events_with_a_pooler(pooled, records, impatient):
    alias, listens = pooled
    async with subscribe("news") as events, subscribe("news", "other") as others:
        await asyncio.gather(*(asyncio.to_thread(write, alias, writer) for writer in range(4)))
        received = await take(events, 120)
        assert await take(others, 120) == received
        for n in range(3):
            await apublish("news", n)
            assert await take(events, 1) == [n]
    for writer in range(4):
        assert [n for each, n in received if each == writer] == list(range(30))
    messages = [record.getMessage() for record in records()]
    assert len(messages) == (0 if listens else 1), messages
    assert all(message.startswith("PostgreSQL must send notifications of events, got none.") for message in messages)


@pytest.mark.parametrize("pooled", [True], indirect=True)
async def test_the_connection_past_a_pooler_receives_notifications_at_once(pooled, faulty, records):
    async with subscribe("news") as events:
        [listener] = faulty.backends("adrf_sse")
        for n in range(10):
            await apublish("news", n)
            assert await take(events, 1) == [n]
        assert faulty.backends("adrf_sse") == [listener]
    assert records() == []
