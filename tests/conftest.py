import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from django.core.asgi import get_asgi_application
from django.db import connection
from django.urls import path

from adrf_sse.brokers.postgres.database import Database
from adrf_sse.testing import EventStreamClient, PendingStream
from tests.project.views import WORDS
from tests.servers.test_servers import ROOT, SERVERS
from tests.support.example import ENDLESS, migrated, serve_example
from tests.support.logs import Records
from tests.support.postgres_server import EMPTY, Postgres, cluster, usable_connection, use_postgres
from tests.support.redis_server import RedisServer, redis_server, use_redis
from tests.support.servers import Server, serve

# A slow machine must not make a test fail.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")
EventStreamClient.timeout = 30


def pytest_configure(config: pytest.Config) -> None:
    """Leave the slow tests out of a run of all tests, except in ``.ci/run``, which sets ``ADRF_SSE_REQUIRE_ALL``."""
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if everything and not config.option.markexpr and os.environ.get("ADRF_SSE_REQUIRE_ALL") != "1":
        config.option.markexpr = "not slow"


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say that slow tests are left out."""
    if config.option.markexpr != "not slow":
        return None
    return "Slow tests are left out. './runtests.sh -m slow' runs them, and 'ADRF_SSE_REQUIRE_ALL=1 ./runtests.sh' all."


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def start_hypothesis(_nothing: None) -> None:
    """Let Hypothesis create its random generator."""


def pytest_collection_finish() -> None:
    """Leave what was imported until now out of garbage collections, which many tests start and wait for."""
    # Hypothesis warns if it finds no object that refers to its generator. With Python 3.14, it would be frozen.
    start_hypothesis()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a slow test after the time ``ADRF_SSE_SLOW_UNTIL``, in seconds since 1970, which ``.ci/run`` sets."""
    until = os.environ.get("ADRF_SSE_SLOW_UNTIL")
    if until and time.time() > float(until) and item.get_closest_marker("slow"):
        pytest.skip("there was no time left for this slow test: see ADRF_SSE_SLOW_UNTIL")


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Records:
    """Return what the package has logged until now."""
    caplog.set_level(logging.INFO, "adrf_sse")
    return lambda: [record for record in caplog.records if record.name == "adrf_sse"]


Visit = Callable[..., PendingStream]


@pytest.fixture
def visit(settings: Any) -> Visit:
    """Request a view of the whole project in process: ``async with visit(view) as stream``.

    With ``served=True`` each request runs in its own thread, as it does under a server.
    """

    def visit(
        view: Any,
        *,
        method: str = "get",
        middleware: tuple[str, ...] = (),
        url: str = "/",
        served: bool = False,
        **kwargs: Any,
    ) -> PendingStream:
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
        settings.MIDDLEWARE = list(middleware)
        client = EventStreamClient(get_asgi_application() if served else None)
        return getattr(client, method)(url, **kwargs)

    return visit


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Create named pipes that block a source before every word but the first; see ``tests.project.views.gate``."""
    for word in WORDS[1:]:
        os.mkfifo(tmp_path / word)
    return tmp_path


Project = Callable[..., httpx.Client]


@contextmanager
def _served_project(server: str, middleware: tuple[str, ...]) -> Iterator[httpx.Client]:
    env = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "TEST_MIDDLEWARE": " ".join(middleware)}
    with serve(SERVERS[server], env=env, cwd=ROOT) as running, httpx.Client(base_url=running.url, timeout=30) as client:
        yield client
    print(running.described())  # pytest shows it if the last test fails


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Return a client for the tests' project on a real server: ``project("uvicorn", *middleware)``.

    The tests of a module share the servers, because each takes a second to start.
    """
    with ExitStack() as stack:

        @cache
        def project(server: str, *middleware: str) -> httpx.Client:
            return stack.enter_context(_served_project(server, middleware))

        yield project


@pytest.fixture(scope="module")
def example_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's database, created by its own migrations."""
    return migrated(tmp_path_factory.mktemp("example") / "example.sqlite3")


@pytest.fixture(scope="module")
def quick_server(example_database: Path) -> Iterator[Server]:
    """The example with an interval of 10 ms between events."""
    with serve_example(example_database) as server:
        yield server


@pytest.fixture(scope="module")
def slow_server(example_database: Path) -> Iterator[Server]:
    """The example with an interval so long that no test receives a second event."""
    with serve_example(example_database, ENDLESS) as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A Redis server that tests use one after another."""
    with redis_server() as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The URL of an empty Redis."""
    shared_redis.client.flushall()
    return shared_redis.url


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that tests use one after another."""
    with cluster(max_connections=100) as server:
        yield server


@pytest.fixture
def postgres_broker(shared_postgres: Postgres, settings: Any, django_db_blocker: Any) -> Iterator[Postgres]:
    """Configure the PostgreSQL broker with empty tables, and return the server."""
    with django_db_blocker.unblock():
        use_postgres(settings, shared_postgres)
        shared_postgres.execute(EMPTY)
        with usable_connection("events"):
            yield shared_postgres
        if not connection.in_atomic_block:
            connection.close()  # later tests must not use the default database, not even to close its connection


@pytest.fixture(params=["memory", "redis", "postgres"])
def broker(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Configure each broker in turn and return its name. A server on a busy machine may take long to answer."""
    if request.param == "postgres":
        request.getfixturevalue("postgres_broker")
        monkeypatch.setattr(Database, "timeout", 30.0)
    elif request.param == "redis":
        use_redis(settings, request.getfixturevalue("redis_url"), socket_timeout=30)
    else:
        settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    return str(request.param)
