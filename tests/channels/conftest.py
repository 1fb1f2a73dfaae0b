"""What tests of the PostgreSQL broker's faults share."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from adrf_sse.brokers.postgres.database import Database
from tests.support.postgres_server import EMPTY, Postgres, cluster, use_postgres


@pytest.fixture(scope="session")
def faulty_server() -> Iterator[Postgres]:
    """A PostgreSQL server that tests stop and disturb one after another."""
    with cluster(max_connections=20) as server:
        yield server


@pytest.fixture
def faulty(faulty_server: Postgres, settings: Any, django_db_blocker: Any) -> Iterator[Postgres]:
    """Configure the broker with empty tables on a server that the test may disturb. Its alias is ``faulty``."""
    with django_db_blocker.unblock():
        use_postgres(settings, faulty_server, "faulty")
        connections["faulty"].close()
        faulty_server.execute(EMPTY)
        try:
            yield faulty_server
        finally:
            faulty_server.recover()
            asyncio.run(_close_connection_for_async())


@sync_to_async
def _close_connection_for_async() -> None:
    connections["faulty"].close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the broker wait for an answer a moment only."""
    monkeypatch.setattr(Database, "timeout", 0.3)
