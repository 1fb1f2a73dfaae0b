"""A reader who follows a page of the documentation: writes its files, runs its commands, compares their output."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from importlib.metadata import distribution
from itertools import takewhile
from pathlib import Path

import httpx

from tests.docs.client import PATIENCE, Client
from tests.docs.examples import ROOT, Block
from tests.docs.outputs import Outputs
from tests.support.ports import free_port
from tests.support.servers import Server, run_worker

FILE = re.compile(r"(?:# |<!-- |// )(?P<path>[\w./-]+\.\w+)(?:, (?P<place>.+?))?(?: -->)?\n")
TITLE = re.compile(r'title="(.*)"')
PROGRAMS = {"python": [], "django-admin": ["-m", "django"], "uvicorn": ["-m", "uvicorn"], "pytest": ["-m", "pytest"]}
"""The arguments of Python that stand for the programs of an environment that is active."""
PREPARATIONS = ("python3 -m venv", ". .venv")
"""What a reader does to have an environment, which a test has already."""
SERVERS = {"runserver": "Quit the server with", "uvicorn": "Uvicorn running on"}
"""What each server prints when it can be used."""


class Reader:
    """Follow pages in an empty folder. Each server is started again when a file has changed.

    ``outputs`` knows which value of the page stands for which real one.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.outputs = Outputs(free_port())
        self.server: Server | None = None
        self._stack = stack
        self._running = stack.enter_context(ExitStack())
        self._command = ""
        self._stale = False
        self._read = 0
        self._client: Client | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.outputs.port}"

    def follow(self, blocks: Iterable[Block]) -> Iterator[tuple[str, str]]:
        """Follow the blocks of a page. Yield the title and the text of each block that shows a terminal or a browser.

        Before the reader looks at a terminal, the caller may do what the page says to do in a browser.
        """
        blocks = list(blocks)
        for number, block in enumerate(blocks, 1):
            title = TITLE.search(block.language)
            if block.language == "console":
                shown = takewhile(lambda following: following.language != "console", blocks[number:])
                self._run_all(block, stays_open=any("of curl" in following.language for following in shown))
            elif title:
                self._restart_if_stale()
                yield title[1], block.code
                self._look(title[1], block.code)
            else:
                self._write(block)

    def stop(self) -> None:
        """Stop the server and the client."""
        self._stop_client()
        self._running.close()
        self.server = None

    def _run_all(self, block: Block, *, stays_open: bool) -> None:
        for command, output in commands(block):
            if is_server(command):
                self._start(command if output else without_reloader(command))
                self.outputs.compare(output, self._server.output, whole=False)
            elif command.startswith("curl"):
                self._request(command, output, stays_open=stays_open)
            else:
                self._run(command, output)

    # Files

    def _write(self, block: Block) -> None:
        named = FILE.match(block.code)
        assert named, f"{block} should begin with a comment that names its file"
        file, place = self.folder / named["path"], named["place"]
        code = block.code
        if place:
            code = changed(file.read_text(), code.removeprefix(named[0]), place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
        self._stale = True

    # Programs

    def _run(self, command: str, output: str) -> None:
        if command.startswith("pip install"):
            assert all(distribution(name) for name in command.split()[2:])
        elif not command.startswith(PREPARATIONS):
            env = environment()
            done = subprocess.run(
                [sys.executable, *arguments(command)],
                cwd=self.folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}"
            self.outputs.compare(output, done.stdout)

    # The terminal of the server

    @property
    def _server(self) -> Server:
        assert self.server, "The page should start a server first"
        return self.server

    def _start(self, command: str) -> None:
        self.stop()
        port = str(self.outputs.port)
        extra = ["--port", port] if command.startswith("uvicorn") else [port]
        ready = next(text for name, text in SERVERS.items() if name in command)
        worker = run_worker([*arguments(command), *extra], ready, env=environment(), cwd=self.folder)
        self.server = self._running.enter_context(worker)
        self._command, self._stale, self._read = command, False, 0
        wait_until_served(self.url)
        self._read = len(self._server.output)

    def _restart_if_stale(self) -> None:
        if self._stale and self.server:
            self._start(without_reloader(self._command))

    def _look(self, title: str, expected: str) -> None:
        """Compare what a terminal shows with the page. Other titles are for the caller."""
        if title == "The terminal of curl":
            assert self._client, "The page should call curl first"
            self._client.expect(expected)
        elif title.startswith("The terminal of"):
            last = expected.splitlines()[-1]
            before = self._server.output[: self._read].count(last)
            self._server.wait_for_count(last, before + 1)
            self.outputs.compare(expected, self._server.output[self._read :], whole=False)
            self._read = len(self._server.output)

    # The terminal of curl

    def _request(self, command: str, expected: str, *, stays_open: bool) -> None:
        self._restart_if_stale()
        self._stop_client()
        self._client = self._stack.enter_context(Client(self.outputs.real(command), self.outputs))
        self._client.expect(expected, stays_open=stays_open)

    def _stop_client(self) -> None:
        if self._client:
            self._client.interrupt()
            self._client = None


def commands(block: Block) -> list[tuple[str, str]]:
    """Return each command of a block with the output that the page shows."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.code, re.MULTILINE)


def is_server(command: str) -> bool:
    return any(name in command for name in SERVERS) and not command.startswith("pip")


def without_reloader(command: str) -> str:
    """Return a command of ``runserver`` that starts faster, because no process watches the files."""
    return f"{command.removesuffix(' --noreload')} --noreload"


def arguments(command: str) -> list[str]:
    """Return the arguments of Python that run a command."""
    program, *rest = shlex.split(command)
    return [*PROGRAMS[program], *rest]


def environment() -> dict[str, str]:
    """Return the environment of a reader's terminal, where the project of the pages is the only one."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return env | {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTEST_ADDOPTS": "-p no:asyncio",
    }


def changed(text: str, code: str, place: str) -> str:
    """Return a file with the change that a page shows: at its end, or the whole of a list or a class."""
    if place == "at the end":
        return f"{text}\n{code}"
    if place.startswith("the class "):
        found = re.search(rf"^{place.removeprefix('the ')}\b.*\n(?:(?: .*)?\n)*", text, re.MULTILINE)
        assert found, f"There is no {place}"
        return text.replace(found[0], f"{code}\n\n")
    name = place.removeprefix("the list ")
    found = re.search(rf"^{name} = \[\n(.*?)^\]\n", text, re.DOTALL | re.MULTILINE)
    assert found, f"There is no list {name}"
    missing = set(found[1].splitlines()) - set(code.splitlines())
    assert not missing, f"The page should keep {missing}"
    return text.replace(found[0], code)


def wait_until_served(url: str) -> None:
    """Wait until a server that has said that it is ready accepts connections."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        client.get(f"{url}/favicon.ico", timeout=PATIENCE)
