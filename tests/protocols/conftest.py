"""A server of the example's protocols, and prompts for its model."""

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.example import EXAMPLE, UVICORN, environment, migrated
from tests.support.node import TIMEOUT, missing, run_client
from tests.support.servers import Server, serve

ROOT = EXAMPLE.parent
MARKS = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(TIMEOUT)]
_numbers = count()


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder. The first of them that needs Node installs the clients."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            for mark in MARKS:
                item.add_marker(mark)


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


class Package:
    """A package that is imported when a test first uses it: some of the clients take a second to import.

    If it is missing, the test is skipped, or fails if ``ADRF_SSE_REQUIRE_ALL=1`` is set.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)  # pytest looks for "__wrapped__" in modules
        try:
            package = import_module(self._name)
        except ImportError:
            missing(f"{self._name} is not installed: pip install -e '.[protocols]'")
        return getattr(package, attribute)
