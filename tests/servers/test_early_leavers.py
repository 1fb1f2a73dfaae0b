"""Clients that leave before their response begins leave no stream open."""

import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROOT = Path(__file__).parents[2]
CLIENTS = 40
UVICORN = ["-m", "uvicorn", "tests.project.asgi:application", "--fd", "{fd}", "--log-level", "critical"]
# Without httptools on asyncio's own loop. There, uvicorn does not tell the first of two pipelined requests that its
# client has left, and its send() does not fail.
SERVERS = {
    "h11 and asyncio": [*UVICORN, "--http", "h11", "--loop", "asyncio"],
    "h11 and uvloop": [*UVICORN, "--http", "h11", "--loop", "uvloop"],
    "httptools and uvloop": [*UVICORN, "--http", "httptools", "--loop", "uvloop"],
    "hypercorn": [
        "-m",
        "hypercorn",
        "--bind",
        "fd://{fd}",
        "--log-level",
        "critical",
        "tests.project.asgi:application",
    ],
}


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


@pytest.mark.parametrize("server", SERVERS)
def test_pipelined_requests_whose_client_leaves_leave_no_stream_open(server, tmp_path):
    started, closed = tmp_path / "started", tmp_path / "closed"
    started.touch()
    stream = request(f"/ending/?end=idle&started={started}&closed={closed}")
    env = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "TEST_HEARTBEAT": "0.1"}
    with serve(SERVERS[server], env=env, cwd=ROOT) as running, httpx.Client(base_url=running.url, timeout=30) as client:
        client.get("/counts/")
        port = httpx.URL(running.url).port
        for number in range(CLIENTS):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(stream * (1 + number % 2))
                until(lambda wanted=number + 1: started.stat().st_size >= wanted)
        until(lambda: client.get("/counts/").json()[0] == 0)
        _, opened, ended = client.get("/counts/").json()
        assert opened == ended
        assert started.stat().st_size == closed.stat().st_size


def until(condition):
    """Wait until the server is in a state that it can't tell by itself. The test's timeout ends the wait."""
    while not condition():
        time.sleep(0.01)
