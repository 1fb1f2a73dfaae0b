import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.core.asgi import get_asgi_application
from django.urls import path

from adrf_sse.testing import EventStreamClient, TestStream
from tests.project.views import WORDS
from tests.support.example import ENDLESS, migrated, serve_example
from tests.support.redis_server import RedisServer, redis_server, use_redis
from tests.support.servers import Server

# No example may fail for the machine being busy.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

Visit = Callable[..., TestStream]


@pytest.fixture
def visit(settings: Any) -> Visit:
    """Open a view, as the whole project, in process: ``async with visit(view) as stream``.

    ``served=True`` gives the request a thread of its own, as a server does.
    """

    def visit(
        view: Any,
        *,
        method: str = "get",
        middleware: tuple[str, ...] = (),
        url: str = "/",
        served: bool = False,
        **kwargs: Any,
    ) -> TestStream:
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
        settings.MIDDLEWARE = list(middleware)
        client = EventStreamClient(get_asgi_application() if served else None)
        return getattr(client, method)(url, **kwargs)

    return visit


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Named pipes that hold a source back before each word but the first; see ``tests.project.views.gate``."""
    for word in WORDS[1:]:
        os.mkfifo(tmp_path / word)
    return tmp_path


@pytest.fixture(scope="module")
def example_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's database, made by its own migrations."""
    return migrated(tmp_path_factory.mktemp("example") / "example.sqlite3")


@pytest.fixture(scope="module")
def quick_server(example_database: Path) -> Iterator[Server]:
    """The example, its events a hundredth of a second apart."""
    with serve_example(example_database) as server:
        yield server


@pytest.fixture(scope="module")
def slow_server(example_database: Path) -> Iterator[Server]:
    """The example, with a first event and no second one in any test's life."""
    with serve_example(example_database, ENDLESS) as server:
        yield server


@pytest.fixture(scope="session")
def redis_for_all() -> Iterator[RedisServer]:
    """A Redis that tests share, one after the other."""
    with redis_server() as server:
        yield server


@pytest.fixture
def redis_url(redis_for_all: RedisServer) -> str:
    """The URL of a Redis with nothing in it."""
    redis_for_all.client.flushall()
    return redis_for_all.url


@pytest.fixture(params=["memory", "redis"])
def broker(request: pytest.FixtureRequest, settings: Any) -> str:
    """Each broker in turn."""
    if request.param == "redis":
        use_redis(settings, request.getfixturevalue("redis_url"))
    else:
        settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    return str(request.param)
