"""One run: the servers, the clients, the faults, and the verdict."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from random import Random
from typing import Any

import psycopg

from benchmarks.live_servers import LiveServer, wait_for
from benchmarks.processes import child
from benchmarks.soak.clients import NUMBERS, Clients
from benchmarks.soak.faults import Faults
from benchmarks.soak.figures import Figures, growth, row
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.publisher import CHANNELS, publish_events
from benchmarks.soak.reading import late_pages, read_published

FOLLOWERS = 24
COUNTERS = 3
"""Clients of each kind of numbers."""

PARTS = {"start": 0.2, "middle": 0.4, "end": 0.4}
"""Parts of the time, after each of which the figures are read."""

PATIENCE = 60
"""Seconds in which all followers must reach the last event, and streams without a client must end."""

EXPECTED = (
    "OperationalError",
    "InterfaceError",
    "AdminShutdown",
    "BrokerUnavailable",
    "ConnectionError",
    "CannotConnectNow",
)
"""Errors in the server's log that a killed database causes."""

ADRF_SSE = {"SEND_TIMEOUT": 3, "HEARTBEAT": 0.5, "CHANNEL_HISTORY": 100_000, "SHUTDOWN_RETRY_SPREAD": [100, 1000]}


class Soak:
    """Hold the parts of a run."""

    def __init__(self, seed: str, seconds: float, redis: Any, postgres: Any) -> None:
        self.seconds, self.postgres = seconds, postgres
        self.random, self.ledger = Random(seed), Ledger()
        self.environment = _environment(redis, postgres)
        os.environ.update(self.environment)  # for the publisher
        self.servers = [LiveServer("soaked" if postgres else "every_source", self.environment) for _ in range(2)]
        self.clients = Clients([server.port for server in self.servers], self.random, self.ledger)
        self.faults = Faults(self.random, self.servers[0], redis, postgres)
        self.pages = [self.ledger.open(self._channels()) for _ in range(FOLLOWERS if redis else 0)]
        self.seed = seed
        self.problems: list[str] = []
        self.figures: dict[str, Figures] = {}

    def _channels(self) -> frozenset[str]:
        return frozenset(self.random.sample(CHANNELS, self.random.randint(1, 3)))

    def prepare(self) -> None:
        """Create the tables."""
        if self.postgres:
            command = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
            subprocess.run(
                command, env={**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings"}, check=True
            )

    async def run(self) -> None:
        """Run all parts."""
        async with AsyncExitStack() as stack:
            for server in self.servers:
                stack.callback(server.close)
                server.start()
            pipe = stack.enter_context(child(publish_events, self.seed)) if self.pages else None
            for name, part in PARTS.items():
                await self._part(name, part * self.seconds, pipe)
            self._verdict()

    async def _part(self, name: str, seconds: float, pipe: Connection | None) -> None:
        """Let clients come and go while things break, until all clients leave and the figures are read."""
        self.clients.settling = False
        paths = [*NUMBERS, *(["/rows/"] if self.postgres else [])]
        followers = [asyncio.create_task(self.clients.follow(page)) for page in self.pages]
        counters = [asyncio.create_task(self.clients.count(path)) for path in paths * COUNTERS]
        reading = asyncio.create_task(read_published(pipe, self.ledger)) if pipe else None
        await self.faults.run(seconds)
        if name == "end" and pipe and reading:
            pipe.send(None)
            self.clients.settling = True
            await reading
            await self._settle()
        for task in (*followers, *counters, *([reading] if reading else [])):
            task.cancel()
        for result in await asyncio.gather(*followers, *counters, return_exceptions=True):
            if isinstance(result, Exception):
                self.problems.append(f"a client failed: {result!r}")
        await asyncio.to_thread(self._measure, name)

    async def _settle(self) -> None:
        if late := await late_pages(self.ledger, PATIENCE):
            self.problems.append(f"{len(late)} followers did not reach the last event, for example {late[0].channels}")

    def _measure(self, name: str) -> None:
        for index, server in enumerate(self.servers):
            idle = wait_for(server.is_idle, PATIENCE)
            figures = server.figures()
            if not idle:
                self.problems.append(f"server {index + 1} has streams without a client, or signals differ: {figures}")
            if self.postgres:
                figures["database connections"] = _connections(self.postgres.port)
            print(row(f"{name}, server {index + 1}", figures), flush=True)
            self.figures[f"{name} {index}"] = figures

    def _verdict(self) -> None:
        self.ledger.close()
        # The other server was restarted, so that nothing can grow in it for long.
        self.problems += growth(*(self.figures[f"{name} 1"] for name in PARTS))
        for server in self.servers:
            self.problems += [found for found in server.tracebacks() if not _is_expected(found)][:3]
        self.problems += self.ledger.examples
        counts = self.ledger.counts
        print("deliveries:", ", ".join(f"{value:,} {name}" for name, value in counts.items()))
        print("clients:", ", ".join(f"{value:,} {name}" for name, value in sorted(self.clients.counts.items())))
        faults = ", ".join(f"{name} {value} times" for name, value in sorted(self.faults.counts.items()))
        print(f"faults: {faults}; the slowest exit of a server took {self.faults.slowest:.1f} s")


def _environment(redis: Any, postgres: Any) -> dict[str, str]:
    environment = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings",
        "BENCHMARK_APP": "benchmarks.apps.every_source",
        "BENCHMARK_LIFETIME": "100000",
        "BENCHMARK_PAUSE": "0.05",
        "BENCHMARK_ADRF_SSE": json.dumps(ADRF_SSE),
    }
    if redis is not None:
        environment["BENCHMARK_REDIS"] = redis.url
    if postgres is not None:
        environment["BENCHMARK_POSTGRES"] = str(postgres.port)
    return environment


def _connections(port: int) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres") as connection:
        found = connection.execute(query).fetchone()
        return int(found[0]) if found else 0


def _is_expected(traceback: str) -> bool:
    return any(name in traceback.rpartition("\n")[2] for name in EXPECTED)
