"""Tests of the example's assistant over HTTP, under ASGI and WSGI."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from adrf_sse.testing import EventParser
from tests.support.example import ENDLESS, RUNSERVER, serve_example
from tests.support.servers import Server

pytestmark = pytest.mark.server

RUNS = "/assistant/runs/"
JSON = {"Accept": "application/json"}
ANSWER = (
    "Let me think about “Why?”. You have used one word, and the longest is “Why”. Read from the end, they are "
    "“Why”, which does not help. So I have thought about it without you: I go on while you are away, and you miss "
    "nothing. My answer is this. "
)


@contextmanager
def http_client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
    print(server.described())  # pytest shows it if the test fails


def test_a_posted_prompt_is_answered_word_by_word(quick_server: Server) -> None:
    with http_client(quick_server) as client:
        response = client.post(RUNS, data={"prompt": "Why?"}, headers={"Accept": "*/*"})
        events = EventParser().feed(response.content)
        again = client.get(response.headers["Location"])
    question, *words, end = [(event.event, json.loads(event.data)) for event in events]
    assert question == ("question", {"text": "Why?"})
    assert " ".join(word["text"] for _, word in words).startswith(ANSWER)
    assert end == ("end", {"status": "completed"})
    assert again.content == response.content


def test_answers_are_runs_with_runserver_under_wsgi(example_database: Path) -> None:
    with serve_example(example_database, ENDLESS, command=RUNSERVER) as server, http_client(server) as client:
        run = client.post(RUNS, json={"prompt": "Why?"}, headers=JSON).headers["Location"]
        with client.stream("GET", run) as response:
            chunks = response.iter_raw()
            received = next(chunks)
            assert client.delete(run).status_code == 204
            received += b"".join(chunks)
        assert received.endswith(b'event: end\ndata: {"status":"stopped"}\n\n')
        assert client.get(run, headers=JSON).json()["status"] == "stopped"
        server.wait_for("The model has stopped after")
