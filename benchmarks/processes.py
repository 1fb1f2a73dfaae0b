"""Processes: programs that serve, and functions that run in a process of their own."""

import multiprocessing
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import IO, Any

from benchmarks.limits import PATIENCE, limit_process

SPAWN = multiprocessing.get_context("spawn")


class ServerFailed(Exception):
    """The server process ended or did not answer; the message is the last line that it wrote."""


@contextmanager
def running(
    command: list[str], is_ready: Callable[[], bool], end: signal.Signals = signal.SIGKILL, **options: Any
) -> Iterator[int]:
    """Run a program and yield its process id once it is ready.

    The program gets the signal ``end`` at the end of the block. It is usually killed, because some servers wait for
    their streams for ever.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
        try:
            _wait_until(is_ready, process, output)
            yield process.pid
        finally:
            process.send_signal(end)
            process.wait()


@contextmanager
def child(function: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Call a function in a process of its own, with a pipe as its first argument, and yield the pipe's other end.

    The process is killed at the end of the block.
    """
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_call, args=(function, theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _call(function: Callable[..., None], *arguments: Any) -> None:
    limit_process()
    with suppress(KeyboardInterrupt):
        function(*arguments)


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], output: IO[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(_last_line(output) or "the server did not answer")
        time.sleep(0.02)


def _last_line(output: IO[str]) -> str:
    output.seek(0)
    return output.read().strip().rpartition("\n")[2][:200]
