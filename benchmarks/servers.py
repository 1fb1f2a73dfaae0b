"""Servers, one fresh process each."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from benchmarks.contenders import Contender
from benchmarks.streams import PATIENCE, answers


@dataclass(frozen=True, slots=True)
class Server:
    """Name a running server."""

    pid: int
    port: int


class ServerFailed(Exception):
    """The server process ended, or did not answer; the message is the last line that it wrote."""


@contextmanager
def serving(
    contender: Contender, *, path: str = "/hold/1", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a contender's server; it is killed on the way out, because some wait for their streams for ever.

    It is there once it answers a request for ``path``.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.worker", contender.module, str(fd)]
        with running(command, port, path, pass_fds=[fd], env={**os.environ, **(environment or {})}) as server:
            yield server


@contextmanager
def running(command: list[str], port: int, path: str, **options: Any) -> Iterator[Server]:
    """Run a program until the way out, once it answers a request for ``path``."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
        try:
            _wait_until_it_answers(process, port, path, output)
            yield Server(process.pid, port)
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, path: str, output: IO[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(_last_line(output) or "the server did not answer")
        time.sleep(0.02)


def _last_line(output: IO[str]) -> str:
    output.seek(0)
    return output.read().strip().rpartition("\n")[2][:200]
