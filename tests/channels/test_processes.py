"""Tests of the warning that the memory broker publishes in a process that serves no streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adrf_sse.brokers.memory import MemoryBroker

ROOT = Path(__file__).parents[2]

PUBLISH = "from adrf_sse.channels import publish; publish('news', 1); publish('news', 2)"
CONFIGURE = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["rest_framework", "drf_spectacular", "adrf_sse"],
    ROOT_URLCONF="tests.project.urls",
    SECRET_KEY="for the tests only",
    WSGI_APPLICATION="tests.project.wsgi.application",
    ADRF_SSE=%r,
)
"""
SETUP = f"{CONFIGURE % {}}\nimport django; django.setup()"
SHELL = f"""
{CONFIGURE % {}}
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "shell", "-v0", "-c", {PUBLISH!r}])
"""
SUBSCRIBED = """
import asyncio
from adrf_sse.channels import publish, subscribe

async def main():
    async with subscribe("news", last_event_id=0) as events:
        await anext(events)  # the event "reset"
        publish("news", 1)

asyncio.run(main())
"""


def stderr_of(code, *arguments):
    """Run Python in a process of its own, and return what it writes to stderr."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.project.settings"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize("code", [SHELL, f"{SETUP}\n{PUBLISH}"], ids=["shell", "worker"])
def test_a_process_that_serves_no_streams_is_warned_once(code):
    assert stderr_of(code, "worker") == (
        "MemoryBroker reaches only this process (-c worker), which serves no streams, so no client receives what it "
        "publishes. Set ADRF_SSE['BROKER'] to a broker that connects processes: PostgresBroker or RedisBroker.\n"
    )


@pytest.mark.parametrize(
    "code",
    [
        f"import tests.project.asgi\n{PUBLISH}",
        pytest.param(f"import tests.project.wsgi\n{PUBLISH}", marks=pytest.mark.slow),
        f"{SETUP}\nimport tests.project.wsgi\n{PUBLISH}",
        f"{SETUP}\n{SUBSCRIBED}",
        f"from django.test.utils import setup_test_environment\n{SETUP}\nsetup_test_environment()\n{PUBLISH}",
    ],
    ids=["asgi", "wsgi", "wsgi after setup", "subscriber", "test"],
)
def test_a_process_that_may_serve_streams_is_not_warned(code):
    assert stderr_of(code) == ""


def test_runserver_is_not_warned():
    assert stderr_of(f"{SETUP}\n{PUBLISH}", "runserver") == ""


def test_a_broker_that_connects_processes_is_not_warned(redis_url):
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": redis_url}}
    code = CONFIGURE % {"BROKER": broker}
    assert stderr_of(f"{code}\nimport django; django.setup()\n{PUBLISH}") == ""


def test_a_test_that_publishes_is_not_warned(caplog):
    MemoryBroker().publish("news", b"jdata: 1\n\n")
    assert caplog.records == []
