"""The examples of ``docs/brokers``, and the projects that its quick starts configure."""

from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from adrf_sse.settings import validated
from tests.docs.examples import Block, code_blocks, examples
from tests.docs.projects import ENVIRONMENT, UVICORN, manage, section, write
from tests.docs.terminal import commands_of, normalized, terminal
from tests.support.postgres_server import Postgres
from tests.support.servers import serve

PAGE = "brokers/index.md"
VIEW = """
# mysite/urls.py
from django.urls import path

from adrf_sse.views import ChannelStreamView


class News(ChannelStreamView):
    def get_channels(self):
        return ["news"]


urlpatterns = [path("news/", News.as_view())]
"""
APPS = "\nINSTALLED_APPS += ['rest_framework', 'adrf_sse']\n"
"""What the pages take for granted."""


def test_the_documented_settings_are_valid():
    assert validated(examples("brokers/index.md", INSTALLED_APPS=[])["ADRF_SSE"])[1] == []
    assert validated(examples("brokers/postgresql.md")["ADRF_SSE"])[1] == []


def test_the_documented_broker_counts_events():
    broker = examples("brokers/index.md", INSTALLED_APPS=[])["CountingBroker"](start=5)
    assert broker.publish("news", b"tx")
    assert broker.published == 6


def project(folder: Path, broker: str) -> Path:
    """Create a project with the settings of a quick start."""
    write(folder, [section(PAGE, f"Start with {broker}")])
    settings = folder / "mysite" / "settings.py"
    text = settings.read_text().replace("INSTALLED_APPS +=", f"{APPS}INSTALLED_APPS +=", 1)
    settings.write_text(text if broker == "PostgreSQL" else text + APPS)
    (folder / "mysite" / "urls.py").write_text(VIEW)
    return settings


def check(folder: Path) -> None:
    """Serve the project with two processes, and follow the section ``Try it``."""
    watch, publish, shown = tried()
    command = [*UVICORN, "mysite.asgi:application", "--workers", "2"]
    with serve(command, env=ENVIRONMENT, cwd=folder) as server, ExitStack() as stack:
        streams = [stack.enter_context(httpx.stream("GET", f"{server.url}/news/", timeout=30)) for _ in range(8)]
        bodies = [stream.iter_text() for stream in streams]
        assert all("event: ready" in next(body) for body in bodies)
        assert manage(folder, *publish.split()[2:]).strip().isdigit()
        assert all("data: Hello" in next(body) for body in bodies)
    with terminal("", folder, ENVIRONMENT) as opened:
        opened.start(f"{watch} --last-event-id 0").expect(["…", normalized(shown)])


def tried() -> list[str]:
    """Return the two commands of the section ``Try it``, and what the first one prints."""
    blocks: list[Block] = list(code_blocks(PAGE))
    first = next(number for number, block in enumerate(blocks) if "sse_tail" in block.code)
    watch, publish, shown = blocks[first : first + 3]
    return [next(commands_of(watch))[0], next(commands_of(publish))[0], shown.code.strip()]


@pytest.mark.server
@pytest.mark.slow
def test_two_processes_share_redis_as_the_page_says(tmp_path: Path, redis_url: str):
    settings = project(tmp_path / "project", "Redis")
    settings.write_text(settings.read_text().replace("redis://localhost:6379/0", redis_url))
    check(tmp_path / "project")


@pytest.mark.server
@pytest.mark.slow
def test_two_processes_share_postgresql_as_the_page_says(tmp_path: Path, shared_postgres: Postgres):
    settings = project(tmp_path / "project", "PostgreSQL")
    shared_postgres.execute("CREATE DATABASE quick_start")
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "quick_start",
        "HOST": "127.0.0.1",
        "PORT": shared_postgres.port,
        "USER": "postgres",
    }
    settings.write_text(f"{settings.read_text()}\nDATABASES = {{'default': {database!r}}}\n")
    try:
        manage(tmp_path / "project", "migrate")
        check(tmp_path / "project")
    finally:
        shared_postgres.execute("DROP DATABASE IF EXISTS quick_start WITH (FORCE)")
