"""Servers, a fresh process for each."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.apps.rows import create_tables
from benchmarks.apps.sessions import create_database
from benchmarks.clients.connections import is_answered
from benchmarks.contenders import Contender
from benchmarks.processes import child, running
from benchmarks.programs import NGINX, POSTGRES, REDIS, nginx, postgres, redis

SETTLE = 0.3
"""Seconds that a server gets to finish what came before a measure."""

IDLE = 0.02
"""Share of a core that a server may need that has nothing to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """Name a running server."""

    contender: Contender
    pid: int
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    """The environment variables that name what it needs."""

    def cpu_seconds(self) -> float:
        """Return the processor time of all threads of the process, also of those that have ended."""
        if sys.platform == "linux":
            # The clock of the process, see clock_getcpuclockid(3): /proc counts in steps of 10 ms.
            return time.clock_gettime((~self.pid << 3) | 2)
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Return the bytes of the process's resident set."""
        rss: int = psutil.Process(self.pid).memory_info().rss
        return rss

    def idle_cpu_seconds(self) -> float:
        """Return the same once the process has nothing to do."""
        seconds, before = self.cpu_seconds(), 0.0
        while seconds - before > IDLE * SETTLE:
            time.sleep(SETTLE)
            seconds, before = self.cpu_seconds(), seconds
        return seconds


@contextmanager
def serving(contender: Contender, path: str, backlog: int) -> Iterator[Server]:
    """Run a contender's server, if it has one, and what it needs. Yield it once it answers a request for the path."""
    program: AbstractContextManager[tuple[int, int]] = nullcontext((0, 0))
    with ExitStack() as stack:
        environment = stack.enter_context(brokers(contender))
        if NGINX in contender.needs:
            program = nginx()
        elif contender.module:
            if contender.database:
                folder = stack.enter_context(TemporaryDirectory(prefix="adrf_sse-database-"))
                environment = {**environment, "BENCHMARK_DATABASE": os.path.join(folder, "rows.sqlite3")}
            if contender.sessions:
                environment = {**environment, **stack.enter_context(sessions())}
            program = worker(contender.module, path, backlog, environment)
        yield Server(contender, *stack.enter_context(program), environment)


@contextmanager
def brokers(contender: Contender) -> Iterator[dict[str, str]]:
    """Run the brokers that a contender needs, and yield the environment that names them."""
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        if POSTGRES in contender.needs:
            environment |= stack.enter_context(postgres())
            stack.enter_context(child(create_tables, environment)).recv()
        if REDIS in contender.needs:
            environment |= stack.enter_context(redis())
        yield environment


@contextmanager
def sessions() -> Iterator[dict[str, str]]:
    """Create a database with a user's session, and yield the environment that names it."""
    with TemporaryDirectory(prefix="adrf_sse-sessions-") as folder:
        database = Path(folder, "sessions.sqlite3")
        database.write_bytes(_signed_in())
        yield {"BENCHMARK_SESSIONS": str(database)}


@cache
def _signed_in() -> bytes:
    with TemporaryDirectory(prefix="adrf_sse-sessions-") as folder:
        database = Path(folder, "sessions.sqlite3")
        with child(create_database, str(database)) as pipe:
            pipe.recv()
        return database.read_bytes()


@contextmanager
def worker(module: str, path: str, backlog: int, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Serve a module with uvicorn, and yield the process id and port once it answers a request for the path."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.worker", module, str(fd), str(backlog)]
        is_ready = partial(is_answered, port, path)
        with running(command, is_ready, pass_fds=[fd], env={**os.environ, **environment}) as pid:
            yield pid, port
