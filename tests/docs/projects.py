"""Projects whose files are in the sections of a page of the documentation."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

import httpx
from django.core.management import call_command
from httpx_sse import EventSource, ServerSentEvent

from tests.docs.examples import DOCS, code_blocks
from tests.support.programs import missing
from tests.support.servers import Server, serve

PACKAGES = ["channels", "django_eventstream", "django_flosse", "fastapi", "sse_starlette"]
"""The packages of the extra ``ports``, without which their tests are skipped, or fail in ``.ci/run``."""
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
UVICORN = ["-m", "uvicorn", "--fd", "{fd}", "--log-level", "warning"]

_FILE = re.compile(r"# ([\w/]+\.py)(, at the end)?\n")
_ID = re.compile(r"\b\d{16}\b")


class Section(NamedTuple):
    """A section of a page: the files that it shows, by path, and what its commands print."""

    files: dict[str, str]
    appended: dict[str, str]
    """What the section adds to the files that ``startproject`` creates."""
    outputs: list[str]


def section(page: str, title: str) -> Section:
    """Return the section of a page. The first line of each of its Python blocks names a file."""
    lines = (DOCS / page).read_text().splitlines()
    start = lines.index(f"## {title}")
    end = next((number for number in range(start + 1, len(lines)) if lines[number].startswith("## ")), len(lines))
    found = Section({}, {}, [])
    for block in code_blocks(page):
        if not start < block.line <= end:
            continue
        if block.language == "console":
            found.outputs.append(block.code.partition("\n")[2])
        elif block.language == "python":
            named = _FILE.match(block.code)
            assert named, f"Expected a first line such as '# mysite/views.py' in {block}, got:\n{block.code}"
            (found.appended if named[2] else found.files)[named[1]] = block.code
    return found


@contextmanager
def served(folder: Path, *sections: Section) -> Iterator[Server]:
    """Serve the project of a section with uvicorn. The files of further sections replace those of the first one.

    Of the tables, only those of django-eventstream are created.
    """
    _require_packages(sections)
    application = write(folder, sections)
    if "EVENTSTREAM_STORAGE_CLASS" in (folder / "mysite/settings.py").read_text():
        manage(folder, "migrate", "django_eventstream")
    with serve([*UVICORN, application], env=ENVIRONMENT, cwd=folder) as server:
        yield server


def manage(folder: Path, *arguments: str) -> str:
    """Run ``manage.py`` of a project, and return what it prints."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, env=os.environ | ENVIRONMENT, cwd=folder, check=True, text=True, stdout=PIPE).stdout


def _require_packages(sections: Sequence[Section]) -> None:
    files = "\n".join(text for each in sections for text in each.files.values())
    for package in PACKAGES:
        if re.search(rf"^(from|import) {package}\b", files, re.MULTILINE) and find_spec(package) is None:
            missing(f"{package} is not installed: pip install -e '.[ports]'")


def write(folder: Path, sections: Sequence[Section]) -> str:
    """Write the files of sections into a new project of Django, and return the name of its ASGI application."""
    folder.mkdir()
    call_command("startproject", "mysite", str(folder))
    for each in sections:
        for path, text in each.files.items():
            (folder / path).write_text(text)
        for path, text in each.appended.items():
            with (folder / path).open("a") as file:
                file.write(text)
    modules = [name for name in ("both", "app") if (folder / f"{name}.py").exists()]
    return f"{modules[0]}:app" if modules else "mysite.asgi:application"


class Reader:
    """Read the frames of a response while it is open. Its lines end in LF, whatever the server sends."""

    def __init__(self, response: httpx.Response) -> None:
        self.text = ""
        self._response = response
        self._chunks = response.iter_text()

    def read(self, frames: int) -> list[ServerSentEvent]:
        """Read until so many frames have arrived, and return all events so far."""
        while self.text.count("\n\n") < frames:
            self.text += next(self._chunks).replace("\r", "")
        return self._events()

    def read_all(self) -> list[ServerSentEvent]:
        """Read to the end, and return all events."""
        self.text += "".join(self._chunks).replace("\r", "")
        return self._events()

    def _events(self) -> list[ServerSentEvent]:
        copy = httpx.Response(200, headers={"Content-Type": self._response.headers["Content-Type"]}, text=self.text)
        return list(EventSource(copy).iter_sse())


def printed(text: str) -> str:
    """Return what a command prints without the digits of IDs that are times, and without spaces that end a line."""
    return _ID.sub("<ID>", "\n".join(line.rstrip() for line in text.splitlines()).strip())
