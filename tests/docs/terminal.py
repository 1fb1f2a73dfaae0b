"""A terminal in which a test runs the commands that a page shows, and compares their output with what it shows."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread

from tests.docs.examples import Block

TIMEOUT = 30
"""Seconds to wait for a line. A working command needs far less."""
SHOWN_URL = "http://127.0.0.1:8000"
OMITTED = "…"
"""A line of a page that stands for any lines."""
_SETUP = 'exec 2>&1; curl() { command curl --silent --show-error "$@"; }'
"""What a terminal does: it shows errors, and curl shows no progress there while it prints the response."""
_VARIABLE = [
    (re.compile(r"\b1\d{15}\b"), "<event ID>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<run ID>"),
    (re.compile(r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\b"), "<date>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d+\.\d+ ?s\b"), "<seconds>"),
]


class Command:
    """A running command of a terminal."""

    def __init__(self, line: str, env: Mapping[str, str], cwd: Path) -> None:
        self.line = line
        self.process = subprocess.Popen(
            ["bash", "-c", f"{_SETUP}\n{line}"],
            env=os.environ | dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines: Queue[str | None] = Queue()
        self._seen: list[str] = []
        self._reader = Thread(target=self._read, name="command output")
        self._reader.start()

    def expect(self, shown: list[str]) -> None:
        """Wait for the lines that a page shows. Raises ``AssertionError`` if other lines arrive."""
        omitting = False
        for line in shown:
            if line == OMITTED:
                omitting = True
                continue
            while (printed := self._next(line)) != normalized(line):
                assert omitting, f"$ {self.line}\nExpected {normalized(line)!r}, got {printed!r} after {self._seen}"
            omitting = False

    def expect_paragraphs(self, shown: list[str]) -> None:
        """Wait for as many lines as a page shows, and compare their paragraphs in any order."""
        printed = [self._next(line) for line in shown]
        assert paragraphs(printed) == paragraphs(map(normalized, shown)), f"$ {self.line}\n{printed}"

    def wait(self) -> None:
        """Wait until the command ends. Raises ``AssertionError`` if it prints more."""
        rest = []
        while (line := self._lines.get(timeout=TIMEOUT)) is not None:
            rest.append(line)
        assert not [line for line in rest if line], f"$ {self.line}\nExpected no more lines, got {rest}"
        self.process.wait(TIMEOUT)

    def kill(self) -> None:
        """End the command."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self._reader.join()

    def _next(self, expected: str) -> str:
        line = self._lines.get(timeout=TIMEOUT)
        assert line is not None, f"$ {self.line}\nExpected {expected!r}, got the end after {self._seen}"
        self._seen.append(line)
        return normalized(line)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)


class Terminal:
    """Run commands with the URL of a server in place of the URL that pages show."""

    def __init__(self, url: str, cwd: Path, env: Mapping[str, str], words: Mapping[str, str]) -> None:
        self._url = url
        self._cwd = cwd
        self._env = env
        self._words = words
        self._commands: list[Command] = []

    def run(self, block: Block, *, in_order: bool = True) -> list[Command]:
        """Run the commands of a block one after another, and compare their output with what the block shows.

        A command must end before the next one of the block. The last one may go on. With ``in_order=False``, paragraphs
        may have any order.
        """
        started: list[Command] = []
        for line, shown in commands_of(block):
            if started:
                started[-1].wait()
            started.append(self.start(line))
            is_interrupted = shown[-1:] == ["^C"]
            shown = shown[:-1] if is_interrupted else shown
            if in_order:
                started[-1].expect(shown)
            else:
                started[-1].expect_paragraphs(shown)
            if is_interrupted:
                started.pop().kill()
        return started

    def start(self, line: str) -> Command:
        """Start a command, and return it."""
        django = f"{shlex.quote(sys.executable)} -m django"
        line = line.replace(SHOWN_URL, self._url).replace("python manage.py", django)
        for shown, real in self._words.items():
            line = line.replace(shown, real)
        self._commands.append(Command(line, self._env, self._cwd))
        return self._commands[-1]

    def close(self) -> None:
        """End all commands."""
        for command in self._commands:
            command.kill()


@contextmanager
def terminal(url: str, cwd: Path, env: Mapping[str, str] | None = None, **words: str) -> Iterator[Terminal]:
    """Provide a terminal, and end its commands on exit. ``words`` replace words of the commands."""
    opened = Terminal(url, cwd, env or {}, words)
    try:
        yield opened
    finally:
        opened.close()


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Return each command of a block with the lines that it prints."""
    for text in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        lines = text.splitlines()
        command = [lines.pop(0)]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        yield "\n".join(command), lines


def paragraphs(lines: Iterable[str]) -> list[str]:
    """Return the sorted paragraphs of lines."""
    return sorted("\n".join(lines).strip().split("\n\n"))


def normalized(line: str) -> str:
    """Return a line of output without what differs each time, or with each server, as the case of a header's name."""
    line = re.sub(r"^[A-Z][\w-]*: ", lambda name: name[0].lower(), line)
    line = re.sub(r"http://127\.0\.0\.1:\d+", SHOWN_URL, line)
    for pattern, replacement in _VARIABLE:
        line = pattern.sub(replacement, line)
    return line.rstrip()
