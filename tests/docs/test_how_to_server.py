"""Tests of the how-to pages on a real server: their commands print what the pages show."""

import json
from contextlib import ExitStack
from importlib.util import find_spec

import httpx
import pytest

from tests.docs.examples import ROOT, Block, code_blocks
from tests.docs.how_to import blocks_of, environment, serve_pages, set_orders
from tests.docs.reader import Reader
from tests.docs.terminal import normalized, terminal
from tests.support.example import serve_example

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
PAGES = ["authentication", "merging-sources", "task-progress", "uploads"]
ORDERS = {"task-progress": ["Jug", "Cup"]}
START = Block(page=ROOT, line=0, language="console", code="$ django-admin startproject mysite .\n")
"""What a reader does who begins with an empty project."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("how-to")


@pytest.fixture(scope="module")
def server(folder):
    with serve_pages(environment(folder, *PAGES)) as server:
        yield server


@pytest.fixture(scope="module")
def model_server(tmp_path_factory):
    """The example project, which answers like OpenAI."""
    if find_spec("openai") is None:
        pytest.skip("openai is not installed: pip install -e '.[protocols]'")
    with serve_example(tmp_path_factory.mktemp("example") / "example.sqlite3") as server:
        yield server


@pytest.fixture(scope="module")
def chat_server(model_server, tmp_path_factory):
    model = {"OPENAI_BASE_URL": f"{model_server.url}/protocols/openai", "OPENAI_API_KEY": "none"}
    with serve_pages(environment(tmp_path_factory.mktemp("chat"), "language-models", **model)) as server:
        yield server


@pytest.fixture
def opened(server, folder):
    token = httpx.get(f"{server.url}/test-login/", timeout=30).json()["token"]
    with terminal(server.url, ROOT, **{"YOUR-TOKEN": token}) as opened:
        yield opened


@pytest.mark.parametrize("page", ["authentication", "task-progress", "uploads"])
def test_the_commands_of_a_page_print_what_it_shows(opened, folder, page):
    set_orders(folder, *ORDERS.get(page, []))
    for block in blocks_of(page, "console"):
        if "curl" in block.code:
            opened.run(block)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["task-progress", "uploads"])
def test_the_models_of_a_page_can_be_migrated_as_it_shows(tmp_path, page):
    model, console, *_ = (
        block for block in code_blocks(f"how-to/{page}.md") if block.language in ("python", "console")
    )
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        assert list(reader.follow([START])) == []
        with (tmp_path / "mysite" / "settings.py").open("a") as settings:
            settings.write('INSTALLED_APPS += ["rest_framework", "adrf_sse", "mysite"]\n')
        assert list(reader.follow([model, console])) == []


def test_a_merged_stream_has_the_events_of_all_sources(opened):
    (block,) = blocks_of("merging-sources", "console")
    (command,) = opened.run(block, in_order=False)
    command.wait()


def test_the_commands_of_a_chat_print_what_the_page_shows(chat_server):
    with terminal(chat_server.url, ROOT) as opened:
        for block in blocks_of("language-models", "console"):
            opened.run(block)


@pytest.fixture(scope="module")
def debugging_environment(tmp_path_factory, shared_redis):
    shared_redis.client.flushall()
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": shared_redis.url}}
    adrf_sse = json.dumps({"BROKER": broker})
    return environment(tmp_path_factory.mktemp("debugging"), "debugging", TEST_ADRF_SSE=adrf_sse)


@pytest.mark.slow
def test_the_commands_of_debugging_print_what_the_page_shows(debugging_environment):
    with serve_pages(debugging_environment) as server:
        with terminal(server.url, ROOT, debugging_environment) as opened:
            for block in blocks_of("debugging", "console"):
                opened.run(block)
        shown = blocks_of("debugging", "text")[0].code
    printed = "\n".join(map(normalized, server.output.splitlines()))
    for line in shown.splitlines():
        assert normalized(line) in printed
