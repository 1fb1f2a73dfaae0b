"""Tests of ``example/minimal.py``, run as a user runs it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from adrf_sse.testing import EventParser
from tests.support.example import MINIMAL, serve_minimal
from tests.support.ports import free_port
from tests.support.servers import EXIT_TIMEOUT

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serve_minimal(str(free_port())) as (_, client):
        yield client


def take(response: httpx.Response, count: int, name: str | None) -> list[str]:
    """Return the data of ``count`` events with a name."""
    parser, found = EventParser(), []
    for chunk in response.iter_raw():
        found += [event.data for event in parser.feed(chunk) if event.event == name]
        if len(found) >= count:
            return found
    raise AssertionError(f"The stream ended after {found}, {count} were expected.")


def test_its_page_names_its_streams_and_the_ticker_ticks(client: httpx.Client) -> None:
    page = client.get("/").text
    assert re.findall(r'new EventSource\("(.+?)"\)', page) == ["/ticker/", "/room/"]
    with client.stream("GET", "/ticker/") as response:
        assert take(response, 2, "tick") == ['{"number":1}', '{"number":2}']


def test_its_form_publishes_to_every_client_and_the_browser_stays(client: httpx.Client) -> None:
    with client.stream("GET", "/room/") as one, client.stream("GET", "/room/") as other:
        assert client.post("/say/", data={"text": "Hello & <b>"}).status_code == 204
        for response in (one, other):
            assert take(response, 1, None) == ['{"text":"Hello & <b>"}']


def test_ctrl_c_ends_it_while_its_streams_are_open() -> None:
    with serve_minimal(PORT=str(free_port())) as (server, client), client.stream("GET", "/ticker/") as response:
        next(response.iter_raw())
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(EXIT_TIMEOUT) == 0
    assert "Traceback" not in server.output


def test_without_uvicorn_it_says_what_to_install() -> None:
    hide = "import runpy, sys; sys.modules['uvicorn'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    run = subprocess.run([sys.executable, "-c", hide, str(MINIMAL)], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines() == ['This file needs uvicorn. Run: pip install "adrf-sse[example]"']
