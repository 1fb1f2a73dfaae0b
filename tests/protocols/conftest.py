"""A server of the example's protocols, and prompts for its model."""

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from typing import Any

import pytest

from tests.support.example import EXAMPLE, UVICORN, environment, migrated
from tests.support.node import missing, run_client
from tests.support.servers import Server, serve

ROOT = EXAMPLE.parent
_numbers = count()


@pytest.fixture(scope="session")
def protocols_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example with a heartbeat after 50 ms, and ``retry`` in each stream."""
    database = migrated(tmp_path_factory.mktemp("protocols") / "example.sqlite3")
    variables = environment(database) | {
        "DJANGO_SETTINGS_MODULE": "tests.protocols.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with serve(UVICORN, env=variables, cwd=EXAMPLE) as server:
        yield server


@pytest.fixture
def url(protocols_server: Server) -> str:
    return f"{protocols_server.url}/protocols"


@pytest.fixture
def endless_prompt() -> str:
    """A prompt of its own for each test, which the model answers without end after its first word."""
    return f"one forever {os.getpid()}-{next(_numbers)}"


@pytest.fixture
def wait_until_stopped(protocols_server: Server) -> Callable[[str], None]:
    """Wait until the server has closed the source that answered a prompt."""
    return lambda prompt: protocols_server.wait_for(f"The model has stopped: {prompt}\n")


@pytest.fixture(scope="module")
def in_node(protocols_server: Server) -> Callable[[str], dict[str, Any]]:
    """Run the scenarios of a client in Node, once for all tests of a module, and return what they have seen."""
    seen: dict[str, dict[str, Any]] = {}

    def results(client: str) -> dict[str, Any]:
        if client not in seen:
            seen[client] = run_client(client, f"{protocols_server.url}/protocols")
        return seen[client]

    return results


class _Missing:
    """Takes the place of a package that is not installed, and skips the tests that use it."""

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        missing(f"{self._package} is not installed: pip install -e '.[protocols]'")


def require(package: str) -> Any:
    """Import a client. If it is missing, the tests that use it are skipped, or fail if ``ADRF_SSE_REQUIRE_ALL=1``."""
    try:
        return import_module(package)
    except ImportError:
        return _Missing(package)
