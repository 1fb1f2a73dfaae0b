"""Functions that run the example project."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from tests.support.servers import Server, run_worker, serve

EXAMPLE = Path(__file__).resolve().parents[2] / "example"
MINIMAL = EXAMPLE / "minimal.py"
UVICORN = ["-m", "uvicorn", "config.asgi:application", "--fd", "{fd}"]
TWO_WORKERS = [*UVICORN, "--workers", "2"]
RUNSERVER = ["manage.py", "runserver", "--noreload", "127.0.0.1:0"]

QUICK = 0.01
"""Seconds between events if a test reads all of them."""
OAS = {version: {"OAS_VERSION": f"{version}.0"} for version in ("3.0", "3.1", "3.2")}
OAS_3_0, OAS_3_1, OAS_3_2 = OAS.values()
"""Settings for ``manage.py spectacular --custom-settings``."""

ENDLESS = 3600
"""Seconds between events, longer than any test runs: an event that arrives has not waited for the next one."""


def environment(database: Path, tick: float = QUICK, redis_url: str = "", database_url: str = "") -> dict[str, str]:
    """Return the environment variables of the example's processes. They don't use the tests' settings module."""
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EXAMPLE_DATABASE": str(database),
        "EXAMPLE_TICK": str(tick),
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
    }


def serve_example(
    database: Path,
    tick: float = QUICK,
    *,
    command: Sequence[str] = UVICORN,
    redis_url: str = "",
    database_url: str = "",
) -> AbstractContextManager[Server]:
    """Run the example on a new server."""
    return serve(command, env=environment(database, tick, redis_url, database_url), cwd=EXAMPLE)


@contextmanager
def serve_minimal(*arguments: str, **env: str) -> Iterator[tuple[Server, httpx.Client]]:
    """Run ``example/minimal.py``, and yield its server and a client that waits until the server listens."""
    with run_worker([str(MINIMAL), *arguments], "curl -d text=Hello", env=env, cwd=EXAMPLE.parent) as server:
        server.wait_for_url()
        transport = httpx.HTTPTransport(retries=8)  # the file prints its address before the server listens
        with httpx.Client(base_url=server.url, transport=transport, timeout=30) as client:
            yield server, client


def manage(*arguments: str, database: Path, redis_url: str = "", database_url: str = "") -> str:
    """Run ``manage.py`` of the example and return its output."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=EXAMPLE,
        env=os.environ | environment(database, redis_url=redis_url, database_url=database_url),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def migrated(database: Path) -> Path:
    """Create the database and its user ``demo`` with the example's migrations."""
    manage("migrate", "--verbosity", "0", database=database)
    return database


def log_in(client: httpx.Client, name: str = "demo") -> None:
    """Log the client in through the login page."""
    page = client.get("/login/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    fields = {"username": name, "password": name, "csrfmiddlewaretoken": token[1]}
    response = client.post("/login/", data=fields)
    assert response.status_code == 302, response.text
