"""A throw-away Redis."""

import os
import shutil
import signal
import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import mkdtemp
from threading import Thread
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.support.ports import free_port


def program(*names: str, package: str) -> str:
    """Return a program's path; skip or fail the test where there is none."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = f"{' or '.join(names)} was not found: apt install {package}"
        if os.environ.get("ADRF_SSE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class RedisServer:
    """Run Redis, or Valkey, on a free port, with its data in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        # One try a hundredth of a second, while it starts.
        self.client = redis.Redis(port=self.port, protocol=2, retry=Retry(ConstantBackoff(0.01), 2000))
        self._command = [
            program("redis-server", "valkey-server", package="redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--loglevel", "warning"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.client.ping()
                return
            except redis.exceptions.BusyLoadingError:
                continue

    def kill(self) -> None:
        """End it without a goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Let it hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def taken_by_a_stranger(self) -> "Iterator[SimpleQueue[str]]":
        """While it is killed, let something else listen in its place that hangs up on everyone, and tells of each."""
        attempts: SimpleQueue[str] = SimpleQueue()

        class Stranger(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                attempts.put("connected")

        class Server(socketserver.TCPServer):
            allow_reuse_address = True

        with Server(("127.0.0.1", self.port), Stranger) as server:
            thread = Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield attempts
            finally:
                server.shutdown()
                thread.join()

    @contextmanager
    def sentinel(self, folder: Path, name: str) -> Iterator[int]:
        """Run a sentinel that watches it under a name, and yield its port."""
        port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(f"port {port}\nsentinel monitor {name} 127.0.0.1 {self.port} 1\n")
        process = subprocess.Popen([self._command[0], str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port, protocol=2, retry=Retry(ConstantBackoff(0.01), 2000)) as client:
                client.ping()
            yield port
        finally:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it, in whatever state it is."""
        self.client.close()
        if self._process is not None:
            self.kill()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Run a server that keeps nothing on disk, unless the options say otherwise."""
    folder = Path(mkdtemp(prefix="adrf_sse-redis-"))
    server = RedisServer(folder, *(options or ("--save", "")))
    try:
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


def use_redis(settings: Any, url: str, **options: Any) -> None:
    """Have the package use a Redis."""
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": url, **options}}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}
