"""Servers, a fresh process for each."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory

from benchmarks.clients.connections import is_answered
from benchmarks.contenders import Contender
from benchmarks.processes import running
from benchmarks.programs import NGINX, REDIS, nginx, redis

SETTLE = 0.3
"""Seconds that a server gets to finish what came before a measure."""


@dataclass(frozen=True, slots=True)
class Server:
    """Name a running server."""

    contender: Contender
    pid: int
    port: int


@contextmanager
def serving(contender: Contender, path: str) -> Iterator[Server]:
    """Run a contender's server and what it needs. Yield the server once it answers a request for the path."""
    with ExitStack() as stack:
        if NGINX in contender.needs:
            program = nginx()
        else:
            environment = stack.enter_context(redis()) if REDIS in contender.needs else {}
            if contender.database:
                folder = stack.enter_context(TemporaryDirectory(prefix="adrf_sse-database-"))
                environment = {**environment, "BENCHMARK_DATABASE": os.path.join(folder, "rows.sqlite3")}
            program = _worker(contender.module, path, environment)
        yield Server(contender, *stack.enter_context(program))


@contextmanager
def _worker(module: str, path: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.worker", module, str(fd)]
        is_ready = partial(is_answered, port, path)
        with running(command, is_ready, pass_fds=[fd], env={**os.environ, **environment}) as pid:
            yield pid, port
