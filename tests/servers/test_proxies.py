"""Tests of streams through real proxies, which have the configurations of the documentation, and compress."""

import os
import re
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

import httpx
import pytest

from tests.servers.test_servers import ROOT, SERVERS, read_word_by_word
from tests.support.parameters import slow_except
from tests.support.proxies import PROXIES, proxy
from tests.support.servers import START_TIMEOUT, serve

pytestmark = pytest.mark.server

EXPECTED = ["data: one", "data: two", "data: three"]
HTTP_VERSIONS = ["HTTP/1.1", "HTTP/2"]
ALWAYS_TESTED = ["nginx", "haproxy"]
WITH_TIMEOUT = [name for name, settings in PROXIES.items() if settings.timeouts]
SILENT, LIVELY = "600", "0.1"
"""Heartbeats in seconds: none during a test, and many."""


@contextmanager
def served(heartbeat):
    environment = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "TEST_HEARTBEAT": heartbeat}
    with serve(SERVERS["uvicorn"], env=environment, cwd=ROOT) as server:
        httpx.get(f"{server.url}/page/", timeout=START_TIMEOUT)  # some proxies wait for less time than a server's start
        yield server


@pytest.fixture(scope="module")
def upstream():
    """Return the URL of a server with a heartbeat. The tests share the servers."""
    with ExitStack() as stack:
        yield cache(lambda heartbeat: stack.enter_context(served(heartbeat)).url)


@pytest.fixture(scope="module", params=slow_except(ALWAYS_TESTED, PROXIES))
def running(request, upstream, tmp_path_factory):
    """Each proxy in turn, in front of a server that sends no heartbeats."""
    with proxy(request.param, upstream(SILENT), tmp_path_factory.mktemp(request.param)) as running:
        yield running


@contextmanager
def client_of(running, version="HTTP/2"):
    http2 = version == "HTTP/2"
    with httpx.Client(base_url=running.url, verify=running.verify, http2=http2, timeout=30) as client:
        yield client


@pytest.fixture(params=HTTP_VERSIONS)
def client(request, running):
    with client_of(running, request.param) as client:
        assert client.get("/page/").http_version == request.param
        yield client


@pytest.mark.parametrize("path", ["view", "compressed"])
def test_each_event_arrives_before_the_next_one_is_produced_and_the_stream_ends(client, path, gates):
    response, words = read_word_by_word(client, f"/{path}/async/", gates)
    assert words == EXPECTED
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    if path == "compressed":
        assert response.headers["Content-Encoding"] == "gzip"


def test_the_last_event_id_reaches_the_view(client):
    with client.stream("GET", "/channels/news/", headers={"Last-Event-ID": "5"}) as response:
        assert 'event: reset\ndata: {"last_event_id":5}' in next(response.iter_text())


def disconnect_and_wait(client, folder):
    """Leave a stream after its first event, and wait until its source is closed."""
    marks = folder / "marks"
    os.mkfifo(marks)
    with client.stream("GET", "/forever/", params={"marks": str(marks)}) as response:
        assert next(response.iter_bytes()) == b"data: one\n\n"
    client.close()
    assert marks.read_bytes() == b"."


@pytest.mark.parametrize("version", HTTP_VERSIONS)
def test_the_source_is_closed_when_the_client_disconnects(running, version, upstream, tmp_path):
    if running.name == "haproxy" and version == "HTTP/1.1":
        # HAProxy notices that the client is gone when it sends something.
        with proxy("haproxy", upstream(LIVELY), tmp_path) as lively, client_of(lively, version) as client:
            disconnect_and_wait(client, tmp_path)
    else:
        with client_of(running, version) as client:
            disconnect_and_wait(client, tmp_path)


@contextmanager
def waiting(name, url, folder, timeout):
    """Open a stream that sends one event, through a proxy that ends a response after a time without any bytes."""
    with (
        proxy(name, url, folder, timeout=timeout) as running,
        client_of(running) as client,
        client.stream("GET", "/forever/", params={"marks": str(folder / "marks")}) as response,
    ):
        yield response


@pytest.mark.parametrize("name", WITH_TIMEOUT)
def test_heartbeats_keep_the_connection_open_for_longer_than_the_timeout_of_the_proxy(name, upstream, tmp_path):
    with waiting(name, upstream(LIVELY), tmp_path, "2s") as response:
        lines = response.iter_lines()
        assert [next(lines) for _ in range(32)] == ["data: one", "", *[":"] * 30]


@pytest.mark.parametrize("name", WITH_TIMEOUT)
def test_without_heartbeats_the_proxy_ends_the_connection(name, upstream, tmp_path):
    with waiting(name, upstream(SILENT), tmp_path, "1s") as response:
        text = ""
        with suppress(httpx.RemoteProtocolError):  # a proxy may cut the response off, or end it
            for piece in response.iter_text():
                text += piece
    assert text == "data: one\n\n"


def test_nginx_serves_static_files(upstream, tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "page.js").write_text("// served by nginx")
    with proxy("nginx", upstream(SILENT), tmp_path) as running, client_of(running) as client:
        assert client.get("/static/page.js").text == "// served by nginx"


@pytest.mark.parametrize("name", slow_except(["nginx"], PROXIES))
def test_the_reconnection_delay_reaches_the_client_when_the_server_stops(name, tmp_path):
    with (
        served(SILENT) as server,
        proxy(name, server.url, tmp_path) as running,
        client_of(running) as client,
        client.stream("GET", "/forever/", params={"marks": str(tmp_path / "marks")}) as response,
    ):
        text = ""
        for piece in response.iter_text():  # raises if the response is cut off
            if not text:
                server.process.terminate()
            text += piece
    assert re.fullmatch(r"data: one\n\nretry: \d+\n\n?", text)
