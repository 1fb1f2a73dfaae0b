"""A temporary Redis server."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.support.ports import free_port
from tests.support.programs import program

RETRY = Retry(ConstantBackoff(0.01), 2000, (redis.ConnectionError, redis.TimeoutError, OSError))
"""Try every 10 ms while Redis starts, also where redis-py passes on the operating system's error."""


class RedisServer:
    """Run Redis or Valkey on a free port, with its data in ``folder``."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, protocol=2, retry=RETRY)
        self._command = [
            program("redis-server", "valkey-server", package="redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--loglevel", "warning"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start Redis and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.client.ping()
                return
            except redis.exceptions.BusyLoadingError:
                continue

    def kill(self) -> None:
        """Kill Redis with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop Redis with SIGSTOP, so that its connections stay open without an answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after ``pause()``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def sentinel(self, folder: Path, name: str, *lines: str) -> Iterator[int]:
        """Run a sentinel that monitors this server as ``name``, and yield the sentinel's port.

        ``lines`` are more lines of its configuration.
        """
        port = free_port()
        config = folder / "sentinel.conf"
        monitor = f"sentinel monitor {name} 127.0.0.1 {self.port} 1"
        config.write_text("\n".join([f"port {port}", monitor, *lines, ""]))
        process = subprocess.Popen([self._command[0], str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port, protocol=2, retry=RETRY) as client:
                client.ping()
            yield port
        finally:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Close the client and kill Redis if it was started."""
        self.client.close()
        if self._process is not None:
            self.kill()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Run a Redis server. Without ``options`` it stores nothing on disk."""
    folder = Path(mkdtemp(prefix="adrf_sse-redis-"))
    server = RedisServer(folder, *(options or ("--save", "")))
    try:
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


def use_redis(settings: Any, url: str, **options: Any) -> None:
    """Configure the Redis broker with ``url``."""
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": url, **options}}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}
