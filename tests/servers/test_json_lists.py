"""Tests of JSON lists on real servers: a list is released when it was sent, and when its client does not read it."""

import socket

import httpx
import pytest

from tests.project.json_lists import COUNT, TEXT
from tests.servers.test_servers import ROOT, SERVERS
from tests.support.parameters import slow_except
from tests.support.servers import serve

pytestmark = pytest.mark.server

LENGTH = len(TEXT) * COUNT
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.project.json_lists"}


def http_client(running):
    return httpx.Client(base_url=running.url, timeout=60)


def is_released(client):
    """Return whether the server holds far less than a list, and counts none."""
    used, _, lists = client.get("/memory/").json()
    return used < LENGTH / 10 and not lists


@pytest.mark.parametrize("server", slow_except(["uvicorn"], ["uvicorn", "gunicorn gthread"]))
def test_a_list_is_released_when_it_was_sent_on_a_connection_that_stays_open(server):
    with (
        serve(SERVERS[server], env=SETTINGS, cwd=ROOT) as running,
        http_client(running) as client,
    ):
        client.get("/long/")
        client.get("/begin/")
        for _ in range(2):
            assert client.get("/long/").json() == [{"data": TEXT}] * COUNT
            while not is_released(client):
                pass  # the server sends the last byte before Django closes the response
        assert client.get("/memory/").json()[1] > LENGTH


def test_a_client_that_does_not_read_its_list_is_disconnected():
    with (
        serve(SERVERS["uvicorn"], env=SETTINGS, cwd=ROOT) as running,
        http_client(running) as client,
    ):
        host, port = running.url.removeprefix("http://").split(":")
        client.get("/begin/")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            connection.sendall(b"GET /impatient/ HTTP/1.1\r\nHost: test\r\n\r\n")
            while client.get("/memory/").json()[1] < LENGTH:
                pass  # until the list is rendered
            while not is_released(client):
                pass
            received = 0
            while part := connection.recv(65536):
                received += len(part)
            assert received < LENGTH
