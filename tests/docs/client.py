"""The terminal in which a reader calls curl."""

import shlex
import signal
import subprocess
from threading import Timer
from types import TracebackType
from typing import Self

from tests.docs.outputs import Outputs

PATIENCE = 50
"""Seconds to wait for a program. A working one needs far less."""

HEARTBEAT = ":\n"
"""What a stream sends if nothing happens, such as on a slow machine."""


class Client:
    """A curl whose output is compared with a page."""

    def __init__(self, command: str, outputs: Outputs) -> None:
        program, *rest = shlex.split(command)
        self._process = subprocess.Popen(
            [program, "-sS", *rest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self._outputs = outputs
        self._timer = Timer(PATIENCE, self._process.kill)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.interrupt()
        self._timer.cancel()

    def expect(self, expected: str, *, stays_open: bool = True) -> None:
        """Read until the output is as expected, and to its end unless it stays open or the page presses Ctrl-C."""
        interrupted = expected.endswith("^C\n")
        expected = expected.removesuffix("^C\n")
        assert self._process.stdout
        shown = ""
        open_ended = interrupted or stays_open or expected.endswith("…\n")
        for line in self._process.stdout:
            if line != HEARTBEAT:
                shown += line
            if open_ended and self._outputs.matches(expected, shown):
                break
        self._outputs.compare(expected, shown if shown.endswith("\n") else shown + "\n")
        if interrupted:
            self.interrupt()

    def interrupt(self) -> None:
        """Press Ctrl-C, if curl still runs."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
        if self._process.stdout:
            self._process.stdout.close()
