"""A temporary PostgreSQL cluster."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import psutil
import psycopg
from django.core.management import call_command
from django.db import connections

from tests.support.ports import free_port
from tests.support.programs import missing

T = TypeVar("T")

EMPTY = """
TRUNCATE adrf_sse_event, adrf_sse_channel, adrf_sse_staged, adrf_sse_run;
UPDATE adrf_sse_state SET forgotten = adrf_sse_now(), position = adrf_sse_now();
"""
"""Removes all events and runs."""


OBEDIENT = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
"""Options of connections of the tests' own, whatever a test has changed."""


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, or skip or fail the test if they are missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (folders[-1] if folders else None)
    if found is None:
        missing("PostgreSQL's initdb was not found: apt install postgresql")
    return Path(found).resolve().parent


class Postgres:
    """Run a cluster on a free port, with its data in ``folder``."""

    def __init__(self, folder: Path, max_connections: int) -> None:
        self.port = free_port()
        self._binaries = programs()
        self._folder = folder
        self._frozen: set[int] = set()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self.own(folder)
        self._options = (
            f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 "
            f"-c max_connections={max_connections} -c fsync=off"
        )

    def create(self) -> None:
        """Create an empty cluster."""
        self._run("initdb", "-D", f"{self._folder}/data", "-U", "postgres", "-A", "trust", "-N")

    def copy(self, primary: "Postgres") -> None:
        """Create a standby of a cluster that runs."""
        source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        self._run("pg_basebackup", "-D", f"{self._folder}/data", *source, "-R", "-X", "stream", "-c", "fast", "-N")

    def promote(self) -> None:
        """Let a standby become a primary."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-w", "promote")

    def new_folder(self, name: str) -> Path:
        """Create a folder that PostgreSQL can write to."""
        folder = self._folder / name
        folder.mkdir()
        self.own(folder)
        return folder

    def own(self, folder: Path) -> None:
        """Let PostgreSQL write to a folder."""
        if self._user:
            shutil.chown(folder, self._user)

    def start(self) -> None:
        """Start PostgreSQL and wait until it accepts connections."""
        self._run(
            "pg_ctl", "-D", f"{self._folder}/data", "-w", "-l", f"{self._folder}/log", "-o", self._options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """End PostgreSQL: at once with ``immediate``, or after all connections have been closed with ``fast``."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """End PostgreSQL at once, with all of its connections, if it runs."""
        if self.is_running:
            self.stop()

    @property
    def is_running(self) -> bool:
        """Whether PostgreSQL has been started."""
        return (self._folder / "data/postmaster.pid").exists()

    @property
    def pid(self) -> int:
        """The process that starts all others."""
        return int((self._folder / "data/postmaster.pid").read_text().split("\n")[0])

    def freeze(self, *pids: int) -> None:
        """Stop processes with SIGSTOP, so that their connections stay open without an answer."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self._frozen.add(pid)

    def freeze_idle(self, pid: int) -> None:
        """Stop the process of a connection when it waits for the client, and so holds up no other process."""
        waiting = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'ClientRead'"
        while not self.execute(waiting, pid):
            time.sleep(0.001)
        self.freeze(pid)

    def freeze_all(self) -> None:
        """Stop PostgreSQL with all of its processes."""
        self.freeze(self.pid, *(process.pid for process in psutil.Process(self.pid).children()))

    def thaw(self) -> None:
        """Continue what was stopped."""
        while self._frozen:
            with suppress(ProcessLookupError):
                os.kill(self._frozen.pop(), signal.SIGCONT)

    def recover(self) -> None:
        """Run as at the beginning, whatever a test has done."""
        self.thaw()
        if not self.is_running:
            self.start()
        self.execute("ALTER SYSTEM RESET ALL")
        self.execute("ALTER ROLE postgres RESET ALL")
        self.execute("SELECT pg_reload_conf()")

    def backends(self, name: str = "%") -> list[int]:
        """Return the processes of connections with an ``application_name`` LIKE ``name``; the broker's is adrf_sse."""
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
            "AND application_name LIKE %s",
            name,
        )
        return [pid for [pid] in rows]

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._binaries / program, *arguments]
        subprocess.run(command, user=self._user, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def execute(self, query: str, *parameters: Any) -> list[Any]:
        """Execute SQL, and return the rows."""
        with psycopg.connect(**self.parameters, options=OBEDIENT, autocommit=True) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a connection."""
        return {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres"}

    @property
    def url(self) -> str:
        """The URL of the database."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"


def use_postgres(
    settings: Any, server: Postgres, alias: str = "events", database: Mapping[str, Any] = {}, **options: Any
) -> None:
    """Configure the PostgreSQL broker with the database of a server as another alias, and create its tables.

    ``database`` is what the alias has besides in ``DATABASES``.
    """
    described = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": str(server.port),
        "NAME": "postgres",
        "USER": "postgres",
        **database,
    }
    if alias not in connections.databases or connections.databases[alias]["PORT"] != str(server.port):
        connections.databases[alias] = connections.configure_settings({"default": {}, alias: described})[alias]
        connections[alias] = connections.create_connection(alias)  # not that of a former server with this alias
        call_command("migrate", "adrf_sse_postgres", database=alias, verbosity=0)
    broker = {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker", "OPTIONS": {"alias": alias, **options}}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}


@contextmanager
def postgres_alias(settings: Any, server: Postgres, alias: str, **database: Any) -> Iterator[None]:
    """Configure the PostgreSQL broker with an alias that exists only for a while."""
    use_postgres(settings, server, alias, database)
    try:
        yield
    finally:
        connections[alias].close()
        if pool := getattr(connections[alias], "pool", None):
            pool.close()
            connections[alias].close_pool()
        del connections[alias], connections.databases[alias]


@contextmanager
def usable_connection(alias: str) -> Iterator[None]:
    """Let the test use a database that it does not name, to which Django's test cases forbid connections."""
    forbidden = connections[alias]
    connections[alias] = connections.create_connection(alias)
    try:
        yield
    finally:
        connections[alias].close()
        connections[alias] = forbidden


def closing(function: Callable[..., T]) -> Callable[..., T]:
    """Let a function that runs in a thread of a test close Django's connections of the thread at its end."""

    @wraps(function)
    def call(*args: Any) -> T:
        try:
            return function(*args)
        finally:
            connections.close_all()

    return call


@contextmanager
def cluster(max_connections: int, primary: Postgres | None = None) -> Iterator[Postgres]:
    """Run a cluster that accepts ``max_connections`` connections, perhaps as a standby of another."""
    folder = Path(mkdtemp(prefix="adrf_sse-postgres-"))
    try:
        server = Postgres(folder, max_connections)
        if primary is None:
            server.create()
        else:
            server.copy(primary)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres(max_connections: int) -> Iterator[int]:
    """Run a cluster that accepts ``max_connections`` connections, and yield its port."""
    with cluster(max_connections) as server:
        yield server.port
