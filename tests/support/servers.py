"""Real server processes, started on a socket that already listens and terminated after the test."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

EXIT_TIMEOUT = 15
"""Seconds to wait for a server to exit. A working server needs far less."""
START_TIMEOUT = 60
"""Seconds to wait for a server without ``{fd}`` to print its URL."""

_URL = re.compile(r"https?://[\w.\[\]:]+:[1-9]\d*")


class Server:
    """Record the output of a running server process."""

    def __init__(self, command: Sequence[str], process: subprocess.Popen[str], url: str = "") -> None:
        self.process = process
        self.url = url
        self._command = command
        self._lines: list[str] = []
        self._printed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="server output")
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def described(self) -> str:
        """Return the command and its output for the report of a failed test."""
        return f"{' '.join(self._command)}\n{self.output}"

    def wait_for_url(self) -> None:
        """Wait until the server prints its URL."""
        with self._printed:
            self._printed.wait_for(lambda: self._ended or _URL.search(self.output), START_TIMEOUT)
        found = _URL.search(self.output)
        assert found, f"The server should have printed its URL:\n{self.described()}"
        self.url = found[0]

    def wait_for(self, text: str) -> None:
        """Wait until the server prints a text. Raises ``AssertionError`` if it does not."""
        with self._printed:
            self._printed.wait_for(lambda: self._ended or text in self.output, START_TIMEOUT)
        assert text in self.output, f"The server should have printed {text!r}:\n{self.described()}"

    def wait_for_count(self, text: str, count: int) -> None:
        """Wait until the server has printed a text ``count`` times. Raises ``AssertionError`` if it does not."""
        with self._printed:
            self._printed.wait_for(lambda: self._ended or self.output.count(text) >= count, START_TIMEOUT)
        assert self.output.count(text) >= count, f"Expected {text!r} {count} times:\n{self.described()}"

    def terminate(self) -> int:
        """Send SIGTERM if the process still runs, and return its exit status.

        Raises ``AssertionError`` if the process does not exit within ``EXIT_TIMEOUT``.
        """
        self.process.terminate()
        try:
            return self.process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            message = f"The server should have ended within {EXIT_TIMEOUT} s of SIGTERM:\n{self.described()}"
            raise AssertionError(message) from None
        finally:
            self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._printed:
                    self._lines.append(line)
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()


@contextmanager
def serve(command_args: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | Path) -> Iterator[Server]:
    """Run ``python *command_args`` and yield the server; terminate it on exit and assert that it exits.

    ``{fd}`` in an argument is replaced by a socket that already listens: clients may connect at once and wait in its
    backlog until the server accepts them. For a server that can't use an open socket the caller passes port 0
    (``127.0.0.1:0``), and the server must print its URL.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        inherits_socket = any("{fd}" in argument for argument in command_args)
        command = [argument.replace("{fd}", str(listener.fileno())) for argument in command_args]
        process = _start(command, env or {}, cwd, [listener.fileno()] if inherits_socket else [])
        server = Server(command, process, f"http://127.0.0.1:{listener.getsockname()[1]}" if inherits_socket else "")
        listener.close()  # the process inherited a copy, and clients must be refused once it exits
        yield from _yield_and_terminate(server, inherits_socket)


@contextmanager
def run_worker(
    command_args: Sequence[str], ready: str, *, env: Mapping[str, str] | None = None, cwd: str | Path
) -> Iterator[Server]:
    """Run ``python *command_args``, which serves no requests, and yield it when it has printed ``ready``.

    Terminate it on exit, and assert that it exits.
    """
    worker = Server(command_args, _start(command_args, env or {}, cwd, []))
    try:
        worker.wait_for(ready)
        yield worker
    except BaseException as exc:
        exc.add_note(worker.described())
        raise
    finally:
        worker.terminate()


def _start(command: Sequence[str], env: Mapping[str, str], cwd: str | Path, fds: list[int]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env),
        cwd=cwd,
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _yield_and_terminate(server: Server, has_url: bool) -> Iterator[Server]:
    try:
        if not has_url:
            server.wait_for_url()
        yield server
    except BaseException as exc:
        exc.add_note(server.described())
        raise
    finally:
        server.terminate()
