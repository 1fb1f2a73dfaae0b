"""Servers in Python's development mode, where each ``ResourceWarning`` is an error, must print nothing."""

import os
import signal
import socket
import struct
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.servers.test_servers import ROOT
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server]

STRICT = ["-X", "dev", "-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning"]
COMMAND = "-m uvicorn tests.project.strict:application --fd {fd} --log-level warning --ws none --loop"
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "PYTHONASYNCIODEBUG": "1"}
LOOPS = ["asyncio", "uvloop"]
VIEWS = ["ending", "ending-plain"]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@contextmanager
def strict_server(loop="asyncio"):
    """Run uvicorn, and assert on exit that it has printed nothing."""
    with serve([*STRICT, *COMMAND.split(), loop], env=ENVIRONMENT, cwd=ROOT) as server:
        yield server
        server.terminate()
        assert server.output == ""


@pytest.fixture(scope="module", params=LOOPS)
def server(request):
    with strict_server(request.param) as server:
        yield server


@pytest.fixture
def pipes(tmp_path):
    """Create named pipes to which the source writes when it starts and when it is closed."""
    for name in ("started", "closed"):
        os.mkfifo(tmp_path / name)
    return {name: str(tmp_path / name) for name in ("started", "closed")}


def wait_for(pipe):
    assert Path(pipe).read_bytes() == b"."


def open_connection(server, path, **query):
    """Return a connection that has requested a stream."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    target = httpx.URL(path, params=query)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


def read_until(connection, wanted):
    received = b""
    while wanted not in received:
        chunk = connection.recv(4096)
        assert chunk, received
        received += chunk


def reset(connection):
    """Close the connection with a TCP reset, as a crashed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def assert_nothing_remains(server):
    """Wait until no stream and no task of the package remains in the server, and assert that it printed nothing."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        while client.get("/remaining/").json() != [0]:
            pass
    assert server.output == ""


@pytest.mark.parametrize("grouped", [{}, {"grouped": ""}], ids=["", "task group"])
@pytest.mark.parametrize("end", ["completed", "failed"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_remains_of_a_source_that_ends(server, view, end, grouped, pipes):
    with closing(open_connection(server, f"/{view}/", end=end, **pipes, **grouped)) as connection:
        wait_for(pipes["started"])
        wait_for(pipes["closed"])
        read_until(connection, b"\r\n0\r\n\r\n")
    assert_nothing_remains(server)


@pytest.mark.parametrize("grouped", [{}, {"grouped": ""}], ids=["", "task group"])
@pytest.mark.parametrize("end", ["idle", "sending"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_remains_after_a_client_disconnects(server, view, end, grouped, pipes):
    connection = open_connection(server, f"/{view}/", end=end, **pipes, **grouped)
    wait_for(pipes["started"])
    read_until(connection, b"data: one\n\n")
    reset(connection)
    wait_for(pipes["closed"])
    assert_nothing_remains(server)


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_remains_after_a_client_disconnects_before_the_first_event(server, view, pipes):
    connection = open_connection(server, f"/{view}/", end="idle", silent="", **pipes)
    wait_for(pipes["started"])
    reset(connection)
    wait_for(pipes["closed"])
    assert_nothing_remains(server)


def test_a_server_prints_nothing_after_an_error_before_the_first_event(server, pipes):
    with closing(open_connection(server, "/ending/", end="failed", silent="", **pipes)) as connection:
        wait_for(pipes["started"])
        wait_for(pipes["closed"])
        read_until(connection, b"HTTP/1.1 500")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["idle", "sending"])
def test_a_server_shuts_down_with_an_open_stream(loop, number, end, pipes):
    with strict_server(loop) as server, closing(open_connection(server, "/ending/", end=end, **pipes)) as connection:
        wait_for(pipes["started"])
        read_until(connection, b"data: one\n\n")
        server.process.send_signal(number)
        wait_for(pipes["closed"])
        read_until(connection, b"\r\n0\r\n\r\n")
        server.process.wait(15)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_server_shuts_down_if_no_stream_was_ever_open(number):
    with strict_server() as server:
        assert httpx.get(f"{server.url}/page/", timeout=30).status_code == 200
        server.process.send_signal(number)
        server.process.wait(15)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_server_shuts_down_after_all_streams_have_ended(number, pipes):
    with strict_server() as server:
        with closing(open_connection(server, "/ending/", end="completed", **pipes)) as connection:
            wait_for(pipes["started"])
            wait_for(pipes["closed"])
            read_until(connection, b"\r\n0\r\n\r\n")
        assert_nothing_remains(server)
        server.process.send_signal(number)
        server.process.wait(15)
