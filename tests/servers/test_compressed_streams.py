"""Tests of compressed streams from real servers with clients that decode them: each event arrives when it is sent."""

import shutil
import subprocess
from contextlib import contextmanager

import httpx
import pytest

from adrf_sse.streams import compression
from tests.project.views import WORDS
from tests.servers.test_servers import MIDDLEWARE, ROOT, SERVERS, read_word_by_word
from tests.support.parameters import slow_except
from tests.support.servers import serve

pytestmark = pytest.mark.server

READ_IN_NODE = """
const response = await fetch(process.argv[1]);
process.stdout.write(`${response.headers.get("content-encoding")}\\n\\n`);
for await (const chunk of response.body) process.stdout.write(chunk);
"""
CLIENTS = {
    "curl": ["curl", "-sN", "--compressed", "-w", "%header{content-encoding}\n\n"],
    "node": ["node", "--input-type=module", "-e", READ_IN_NODE],
}
ZSTD_APPLICATION = "tests.project.zstd_asgi:application"


@contextmanager
def served(application="tests.project.asgi:application"):
    command = [application if part.endswith(":application") else part for part in SERVERS["uvicorn"]]
    with serve(command, env={"DJANGO_SETTINGS_MODULE": "tests.project.settings"}, cwd=ROOT) as server:
        yield server


def words_of(command, url, gates):
    """Run a client, let the source continue after each word, and return the coding that it names and the words."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen([*command, f"{url}?gates={gates}"], stdout=subprocess.PIPE) as client:
        output, blocks = b"", []
        while byte := client.stdout.read(1):
            output += byte
            if output.endswith(b"\n\n"):
                blocks.append(output.decode().strip())
                output = b""
                words = [block for block in blocks if block.startswith("data: ")]
                if blocks[-1] in words and len(words) < len(WORDS):
                    (gates / WORDS[len(words)]).write_bytes(b".")
    assert client.returncode == 0
    (coding,) = [block for block in blocks if block not in words]
    return coding, words


EXPECTED = [f"data: {word}" for word in WORDS]


@pytest.mark.parametrize("name", slow_except(["curl"], CLIENTS))
def test_clients_receive_each_event_of_a_compressed_stream_when_it_is_sent(project, name, gates):
    url = project("uvicorn").base_url
    assert words_of(CLIENTS[name], f"{url}/compressed/async/", gates) == ("gzip", EXPECTED)


@pytest.mark.parametrize(
    ("server", "middleware"),
    [
        pytest.param("uvicorn", "", marks=pytest.mark.slow),
        ("uvicorn", "gzip"),
        ("gunicorn sync", ""),
        pytest.param("gunicorn sync", "gzip", marks=pytest.mark.slow),
    ],
)
def test_servers_send_each_event_of_a_compressed_stream_at_once(project, server, middleware, gates):
    client = project(server, *MIDDLEWARE[middleware])
    for kind in ("async", "sync"):
        response, words = read_word_by_word(client, f"/compressed/{kind}/", gates)
        assert response.headers["Content-Encoding"] == "gzip"
        assert words == EXPECTED
    head = client.head("/compressed/async/")
    assert head.headers["Content-Encoding"] == "gzip"
    assert head.content == b""


def test_zstandard_is_used_for_clients_that_prefer_it(gates):
    if compression.zstd is None:
        pytest.importorskip("backports.zstd")
    with served(ZSTD_APPLICATION) as server:
        for accepted, coding in (("zstd", "zstd"), ("gzip;q=0.5, zstd", "zstd"), ("zstd, gzip", "gzip")):
            command = [*CLIENTS["curl"], "-H", f"Accept-Encoding: {accepted}"]
            assert words_of(command, f"{server.url}/compressed/async/", gates) == (coding, EXPECTED)


def test_a_compressed_stream_ends_in_order_when_the_server_stops(tmp_path):
    with served() as server, httpx.Client(base_url=server.url, timeout=30) as client:
        marks = tmp_path / "marks"
        with client.stream("GET", "/compressed-forever/", params={"marks": str(marks)}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            text = ""
            for piece in response.iter_text():  # raises if the response is cut off
                if not text:
                    server.process.terminate()
                text += piece
        assert text.startswith("data: one\n\nretry: ")
        assert marks.read_bytes() == b"."
