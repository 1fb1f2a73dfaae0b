"""The example's reports, which a worker of ``django.tasks`` writes in a process of its own."""

import json

import django
import httpx
import pytest

from adrf_sse.testing import EventParser
from tests.support.example import ENDLESS, EXAMPLE, QUICK, environment, migrated, serve_example
from tests.support.servers import run_worker

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has django.tasks since version 6.0."),
    pytest.mark.timeout(120),
]

TIMEOUT = 30
"""Seconds to wait for what another process does. A working one needs far less."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("tasks") / "example.sqlite3")


@pytest.fixture
def server(database, redis_url):
    with serve_example(database, redis_url=redis_url) as server:
        yield server


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, timeout=TIMEOUT) as client:
        yield client


@pytest.fixture
def working(database, redis_url):
    def working(tick=QUICK):
        env = environment(database, tick, redis_url)
        return run_worker(["manage.py", "run_tasks", "--interval", "0.01"], "Waiting for tasks.", env=env, cwd=EXAMPLE)

    return working


def started(http, parts=2):
    response = http.post("/reports/", json={"parts": parts}, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    return response.headers["Location"]


def events_at(http, location):
    parser = EventParser()
    with http.stream("GET", location) as response:
        return [
            (event.event, json.loads(event.data)) for chunk in response.iter_bytes() for event in parser.feed(chunk)
        ]


def state_at(http, location):
    return http.get(location, headers={"Accept": "application/json"}).json()["status"]


def wait_until_running(http, location):
    while state_at(http, location) == "queued":
        pass  # the test's timeout ends it
    assert state_at(http, location) == "running"


def test_a_worker_writes_the_report_of_a_view(http, working):
    location = started(http)
    with working():
        assert events_at(http, location) == [
            ("progress", {"part": "north", "done": 1, "of": 2}),
            ("progress", {"part": "east", "done": 2, "of": 2}),
            ("report", {"total": 9}),
            ("end", {"status": "completed"}),
        ]


def test_a_stop_through_the_view_reaches_the_worker(http, working):
    location = started(http)
    with working(ENDLESS) as worker:
        wait_until_running(http, location)
        assert http.delete(location).status_code == 204
        assert events_at(http, location) == [("end", {"status": "stopped"})]
        worker.wait_for("has ended, stopped")


def test_a_task_whose_run_was_stopped_before_does_nothing(http, working):
    location = started(http)
    http.delete(location)
    with working() as worker:
        worker.wait_for("because it has already ended: stopped")
    assert events_at(http, location) == [("end", {"status": "stopped"})]


def test_a_worker_that_is_terminated_ends_its_run_at_once(http, working):
    location = started(http)
    with working(ENDLESS) as worker:
        wait_until_running(http, location)
        assert worker.terminate() == 0
        assert state_at(http, location) == "lost"
    assert [name for name, _ in events_at(http, location)] == ["error", "end"]


def test_a_wrong_request_enqueues_nothing(http):
    assert http.post("/reports/", json={"parts": 0}).status_code == 400
