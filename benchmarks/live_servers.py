"""Servers that run for long: their output is kept, and they can be terminated and started again on the same port."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from tempfile import TemporaryFile
from typing import Any

from benchmarks.processes import ServerFailed

PATIENCE = 120
"""Seconds in which a server must start, answer and exit. A busy machine needs most of them."""

TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*", re.MULTILINE)

SENDING = re.compile(r"uvloop/|/uvicorn/protocols/")
"""The last frame of an error of uvicorn, which sends to a client that has left if it has pipelined requests."""


class LiveServer:
    """Run an app of ``benchmarks.apps`` in a process of its own, with one worker."""

    def __init__(self, module: str, environment: dict[str, str], path: str = "/figures") -> None:
        self._module = module
        self._environment = {**os.environ, "BENCHMARK_LOG": "1", **environment}
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._output = TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        fd = self._listener.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", self._module, str(fd)],
            pass_fds=[fd],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        if not wait_for(lambda: not self.is_up or self._answers()) or not self.is_up:
            raise ServerFailed(self.output() or "the server did not answer")

    def _answers(self) -> bool:
        with suppress(OSError, HTTPException):
            return bool(self.figures(timeout=5))
        return False

    def terminate(self) -> float:
        """Send SIGTERM, wait until the process has exited, and return the seconds that it took."""
        began = time.monotonic()
        self._running.terminate()
        self._running.wait(PATIENCE)
        return time.monotonic() - began

    def close(self) -> None:
        """Kill the process, and free the port."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._listener.close()
        self._output.close()

    def figures(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return what the process tells about itself."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", self._path)
            figures: dict[str, Any] = json.loads(connection.getresponse().read())
            return figures
        finally:
            connection.close()

    def is_idle(self) -> bool:
        """Return whether no stream is open, and each that was opened was reported as closed, which happens later."""
        figures = self.figures()
        return not figures["streams"] and figures["opened"] == figures["closed"]

    def output(self) -> str:
        """Return what the process has written."""
        # The process shares the position in the file, so that moving it would make the process overwrite its output.
        return os.pread(self._output.fileno(), 1 << 24, 0).decode(errors="replace")

    def tracebacks(self) -> list[str]:
        """Return the tracebacks in the output, except those of the server's own code that sends to a closed socket."""
        return [
            found for found in TRACEBACK.findall(self.output()) if not SENDING.search(found.rpartition("  File ")[2])
        ]


def wait_for(condition: Callable[[], Any], patience: float = PATIENCE) -> bool:
    """Wait until a condition holds, and return whether it does."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
