"""Servers, one fresh process each."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

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
def serving(contender: Contender) -> Iterator[Server]:
    """Run a contender's server; it is killed on the way out, because some wait for their streams for ever."""
    with tempfile.TemporaryFile("w+") as output, socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        process = _start(contender.module, listener.fileno(), output)
        try:
            port = listener.getsockname()[1]
            _wait_until_it_answers(process, port, output)
            yield Server(process.pid, port)
        finally:
            process.kill()
            process.wait()


def _start(module: str, fd: int, output: IO[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.worker", module, str(fd)]
    return subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, output: IO[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(_last_line(output) or "the server did not answer")
        time.sleep(0.02)


def _last_line(output: IO[str]) -> str:
    output.seek(0)
    return output.read().strip().rpartition("\n")[2][:200]
