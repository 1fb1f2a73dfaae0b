"""Many streams use the ORM with a PostgreSQL server limited to twenty connections."""

import asyncio

import httpx
import psycopg
import pytest

from tests.servers.test_servers import ROOT, UVICORN
from tests.servers.test_shutdown import Client
from tests.support.postgres_server import postgres
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server]

STREAMS = 120
STREAM_THREADS = 4


def count_connections(port):
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres") as connection:
        return connection.execute(query).fetchone()[0]


@pytest.fixture(scope="module", params=["", "1"], ids=["connections", "psycopg pool"])
def database(request):
    with postgres(max_connections=20) as port:
        yield (
            port,
            {
                "DJANGO_SETTINGS_MODULE": "tests.project.settings",
                "TEST_POSTGRES_PORT": str(port),
                "TEST_POSTGRES_POOL": request.param,
            },
        )


async def test_open_streams_that_use_the_orm_hold_no_connection(database):
    port, environment = database
    with serve(UVICORN, env=environment, cwd=ROOT) as running:
        clients = []
        for _ in range(STREAMS):
            clients.append(Client())
            await clients[-1].open(running.url, "/queries/", b"event: first\n")
        assert count_connections(port) <= (8 if environment["TEST_POSTGRES_POOL"] else STREAM_THREADS)
        rests = [asyncio.create_task(client.rest()) for client in clients]
        async with httpx.AsyncClient() as poster:
            assert (await poster.post(f"{running.url}/queries/")).status_code == 200
        backends = set()
        for rest in await asyncio.gather(*rests):
            assert rest.count(b"event: later\n") == 3
            backends |= set(rest.split(b"event: later\ndata: ")[1:])
        assert len({backend.split(b"\n")[0] for backend in backends}) <= STREAM_THREADS


async def test_streams_that_wait_for_their_first_event_hold_no_connection(database):
    port, environment = database
    with serve(UVICORN, env=environment, cwd=ROOT) as running:
        clients = [Client() for _ in range(60)]
        async with httpx.AsyncClient() as poster:
            opening = []
            for number, client in enumerate(clients):
                opening.append(asyncio.create_task(client.open(running.url, "/silent/")))
                while int((await poster.put(f"{running.url}/silent/")).text) <= number:
                    assert not opening[-1].done() or opening[-1].result()
            assert count_connections(port) <= (8 if environment["TEST_POSTGRES_POOL"] else STREAM_THREADS)
            assert (await poster.post(f"{running.url}/silent/")).status_code == 200
        await asyncio.gather(*opening)
        for client in clients:
            assert (await client.rest()).endswith(b"0\r\n\r\n")
