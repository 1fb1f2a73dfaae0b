"""Ctrl-C in a synchronous test, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

TEST = """
import asyncio, os, threading, time
from asgiref.sync import sync_to_async
from adrf_sse.views import AsyncSSEAPIView
from django.urls import path

def tell(text):
    os.write(1, text.encode())

class View(AsyncSSEAPIView):
    async def get(self, request):
        try:
            yield "a"
            tell("started")
            {source}
        finally:
            tell("closed")

urlpatterns = [path("", View.as_view())]

def test_interrupted(event_stream_client, settings, monkeypatch):
    monkeypatch.setattr("adrf_sse.testing.portal.INTERRUPTED_TIMEOUT", 0.1)
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    with event_stream_client.get("/") as stream:
        stream.next()
        stream.next(timeout=600)

def test_not_reached():
    tell("next test")
"""

SOURCES = {
    "asynchronous": ("await asyncio.Event().wait()", True),
    "synchronous": ("await sync_to_async(time.sleep)(600)", True),
    "a view that blocks the loop": ("time.sleep(600)", False),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("source", "closes"), SOURCES.values(), ids=SOURCES)
def test_an_interrupted_test_ends_and_closes_the_source(tmp_path, source, closes):
    (tmp_path / "test_it.py").write_text(TEST.replace("{source}", source))
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.project.settings"}
    with subprocess.Popen(
        [*command, "test_it.py"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        output = b""
        while b"started" not in output:
            output += (part := os.read(process.stdout.fileno(), 1000))
            assert part, output
        process.send_signal(signal.SIGINT)
        output += process.stdout.read()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert (b"closed" in output) == closes
    assert b"next test" not in output
