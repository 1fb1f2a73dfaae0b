"""Real servers in Python's development mode, with every warning about what is left behind an error, print nothing."""

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

pytestmark = pytest.mark.server

STRICT = ["-X", "dev", "-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning"]
COMMAND = "-m uvicorn tests.project.strict:application --fd {fd} --log-level warning --ws none --loop"
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "PYTHONASYNCIODEBUG": "1"}
LOOPS = ["asyncio", "uvloop"]
VIEWS = ["ending", "ending-plain"]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@contextmanager
def strict_server(loop="asyncio"):
    """Run uvicorn, and see in the end that it has printed nothing."""
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
    """Named pipes: what reads one waits until the source has begun, or is closed."""
    for name in ("begun", "closed"):
        os.mkfifo(tmp_path / name)
    return {name: str(tmp_path / name) for name in ("begun", "closed")}


def wait_for(pipe):
    assert Path(pipe).read_bytes() == b"."


def opened(server, path, **query):
    """Return a connection that has asked for a stream."""
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
    """Leave as a client does that has crashed: what is under way to it is refused."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def assert_nothing_left(server):
    """See that nothing is left of any stream, once the server has had the time to finish."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        while client.get("/left/").json() != [0]:
            pass
    assert server.output == ""


@pytest.mark.parametrize("grouped", [{}, {"grouped": ""}], ids=["", "task group"])
@pytest.mark.parametrize("end", ["completed", "failed"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_source_that_ends(server, view, end, grouped, pipes):
    with closing(opened(server, f"/{view}/", end=end, **pipes, **grouped)) as connection:
        wait_for(pipes["begun"])
        wait_for(pipes["closed"])
        read_until(connection, b"\r\n0\r\n\r\n")
    assert_nothing_left(server)


@pytest.mark.parametrize("grouped", [{}, {"grouped": ""}], ids=["", "task group"])
@pytest.mark.parametrize("end", ["idle", "sending"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_client_that_leaves(server, view, end, grouped, pipes):
    connection = opened(server, f"/{view}/", end=end, **pipes, **grouped)
    wait_for(pipes["begun"])
    read_until(connection, b"data: one\n\n")
    reset(connection)
    wait_for(pipes["closed"])
    assert_nothing_left(server)


@pytest.mark.parametrize("view", VIEWS)
def test_a_client_that_leaves_before_the_first_event(server, view, pipes):
    connection = opened(server, f"/{view}/", end="idle", silent="", **pipes)
    wait_for(pipes["begun"])
    reset(connection)
    wait_for(pipes["closed"])
    assert_nothing_left(server)


def test_an_error_before_the_first_event(server, pipes):
    with closing(opened(server, "/ending/", end="failed", silent="", **pipes)) as connection:
        wait_for(pipes["begun"])
        wait_for(pipes["closed"])
        read_until(connection, b"HTTP/1.1 500")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["idle", "sending"])
def test_a_shutdown_with_an_open_stream(loop, number, end, pipes):
    with strict_server(loop) as server, closing(opened(server, "/ending/", end=end, **pipes)) as connection:
        wait_for(pipes["begun"])
        read_until(connection, b"data: one\n\n")
        server.process.send_signal(number)
        wait_for(pipes["closed"])
        read_until(connection, b"\r\n0\r\n\r\n")
        server.process.wait(15)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_shutdown_where_no_stream_was_ever_open(number):
    with strict_server() as server:
        assert httpx.get(f"{server.url}/page/", timeout=30).status_code == 200
        server.process.send_signal(number)
        server.process.wait(15)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_shutdown_after_all_streams_have_ended(number, pipes):
    with strict_server() as server:
        with closing(opened(server, "/ending/", end="completed", **pipes)) as connection:
            wait_for(pipes["begun"])
            wait_for(pipes["closed"])
            read_until(connection, b"\r\n0\r\n\r\n")
        assert_nothing_left(server)
        server.process.send_signal(number)
        server.process.wait(15)
