"""The examples of ``docs/testing.md``."""

import inspect
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from adrf_sse.channels import publish
from adrf_sse.testing import EventStreamClient
from tests.docs.conftest import SESSIONS
from tests.docs.examples import DOCS, ROOT, code_blocks, examples
from tests.docs.terminal import commands_of, normalized

FILE = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def tests(channels_page, settings) -> dict[str, Any]:
    orders = settings.ROOT_URLCONF.urlpatterns
    found = examples("testing.md", Order=Group)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [*found["urlpatterns"], *orders]})
    settings.MIDDLEWARE = SESSIONS
    return found


def test_the_documented_test_of_a_stream_passes(tests, event_stream_client, db):
    tests["test_members_need_a_login"](event_stream_client)
    user = User.objects.create_user("alice")
    tests["test_members_are_streamed"](event_stream_client, user)
    tests["test_a_request"](event_stream_client, user)


def test_the_documented_test_that_leaves_a_stream_passes(tests, event_stream_client, db, caplog):
    tests["test_the_work_stops_if_the_client_leaves"](event_stream_client, None, caplog)


@pytest.mark.django_db(transaction=True)
async def test_the_documented_asynchronous_test_passes(tests, event_stream_client):
    await tests["test_members_are_streamed_asynchronously"](event_stream_client)


def test_the_documented_test_case_passes(tests, db):
    case = tests["MembersTest"]
    case.user = User.objects.create_user("alice")
    case().test_members_are_streamed()


def test_each_test_of_the_documented_test_case_begins_with_an_empty_history(tests, db):
    class Twice(tests["OrdersTest"]):
        def check(self):
            with EventStreamClient().get("/orders/42/events/?last_event_id=0") as stream:
                publish("orders.42", {"status": "paid"}, event="order")
                assert [event.event for event in stream.take(3)] == ["reset", "ready", "order"]

        test_one = test_two = check

    result = unittest.defaultTestLoader.loadTestsFromTestCase(Twice).run(unittest.TestResult())
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_the_documented_fixture_keeps_other_settings(tests, settings):
    settings.ADRF_SSE = {"CHANNEL_HISTORY": 7}
    inspect.unwrap(tests["empty_channels"])(settings)
    assert settings.ADRF_SSE["CHANNEL_HISTORY"] == 7


def test_the_documented_test_of_a_channel_passes(tests, event_stream_client):
    tests["test_an_order_is_streamed"](event_stream_client)


def test_the_documented_test_of_an_announcement_passes(
    tests, event_stream_client, db, django_capture_on_commit_callbacks
):
    tests["test_a_saved_order_is_announced"](event_stream_client, None, django_capture_on_commit_callbacks)


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))}
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-m", *command], cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def project(tmp_path):
    """Create an empty project as the page says, and copy the page's files to it."""
    run(tmp_path, "django", "startproject", "mysite", ".")
    settings = tmp_path / "mysite" / "settings.py"
    code = settings.read_text()
    settings.write_text(
        code.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "rest_framework",\n    "adrf_sse",')
    )
    for name, content in FILE.findall((DOCS / "testing.md").read_text()):
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_example_passes_in_an_empty_project_without_pytest_asyncio(project):
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error", "test_members.py")
    _, block = (block for block in code_blocks("testing.md") if block.language == "console")
    ((_, shown),) = commands_of(block)
    assert [normalized(line) for line in done.stdout.splitlines()] == [normalized(line) for line in shown]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_asynchronous_example_passes_in_an_empty_project(project):
    done = run(project, "pytest", "-p", "no:cacheprovider", "test_members_async.py")
    assert "1 passed" in done.stdout
