"""Tests of every kind of source and view on real servers: each event arrives before the next one exists."""

import os
from pathlib import Path

import httpx
import pytest

from tests.project.views import SOURCES, VIEWS, WORDS
from tests.support.parameters import slow_except
from tests.support.servers import serve

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
UVICORN = ["-m", "uvicorn", "tests.project.asgi:application", "--fd", "{fd}", "--log-level", "warning"]
GUNICORN = ["-m", "gunicorn", "--bind", "fd://{fd}", "--no-control-socket"]
SERVERS = {
    "uvicorn": UVICORN,
    "gunicorn with uvicorn-worker": [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "tests.project.asgi:application"],
    "gunicorn sync": [*GUNICORN, "tests.project.wsgi:application"],
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "tests.project.wsgi:application"],
    "runserver": ["-m", "django", "runserver", "127.0.0.1:0", "--noreload"],
}
ALWAYS_TESTED = ["uvicorn", "gunicorn sync", "runserver"]
MIDDLEWARE = {
    "": (),
    "sync middleware": ("tests.support.middleware.sync_only",),
    "gzip": ("django.middleware.gzip.GZipMiddleware",),
}


def read_word_by_word(client, url, gates):
    """Read the stream at ``url``, and let its source continue only after each event has arrived."""
    with client.stream("GET", url, params={"gates": gates}) as response:
        received, words = b"", []
        for chunk in response.iter_bytes():
            received += chunk
            while b"\n\n" in received:
                frame, _, received = received.partition(b"\n\n")
                words.append(frame.decode())
                if len(words) < len(WORDS):
                    (gates / WORDS[len(words)]).write_bytes(b".")
        return response, words


@pytest.mark.parametrize("server", slow_except(ALWAYS_TESTED, SERVERS))
def test_every_source_from_every_view_streams_event_by_event(project, server, gates):
    client = project(server)
    for name in VIEWS:
        for kind in SOURCES:
            response, words = read_word_by_word(client, f"/{name}/{kind}/", gates)
            assert words == ["data: one", "data: two", "data: three"], (name, kind)
            assert response.status_code == (201 if name.startswith("renderer-only") else 200)
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("server", "middleware"),
    [
        ("uvicorn", "sync middleware"),
        pytest.param("uvicorn", "gzip", marks=pytest.mark.slow),
        pytest.param("gunicorn sync", "sync middleware", marks=pytest.mark.slow),
        ("gunicorn sync", "gzip"),
    ],
)
def test_middleware_does_not_delay_events(project, server, middleware, gates):
    client = project(server, *MIDDLEWARE[middleware])
    for name in VIEWS:
        _, words = read_word_by_word(client, f"/{name}/async/", gates)
        assert words == ["data: one", "data: two", "data: three"], name


@pytest.mark.parametrize("server", slow_except(ALWAYS_TESTED, SERVERS))
def test_head_of_an_endless_stream_returns_at_once(project, server):
    response = project(server).head("/endless/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    "server", slow_except(["uvicorn", "gunicorn sync"], ["gunicorn sync", "gunicorn gthread", "runserver", "uvicorn"])
)
def test_heartbeats_are_sent_and_the_source_is_closed_when_the_client_disconnects(server, tmp_path):
    marks = tmp_path / "marks"
    os.mkfifo(marks)
    env = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "TEST_HEARTBEAT": "0.05"}
    with serve(SERVERS[server], env=env, cwd=ROOT) as running:
        with httpx.stream("GET", f"{running.url}/forever/", params={"marks": str(marks)}, timeout=30) as response:
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if body.endswith(b":\n:\n"):
                    break
        assert marks.read_bytes() == b"."
    assert body.startswith(b"data: one\n\n:\n")
