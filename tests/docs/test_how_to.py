"""Tests of the how-to pages: their examples do what the pages promise."""

import asyncio
import csv
import io
import linecache
import logging
import re
import shlex
import sys
from functools import cache
from types import ModuleType

import pytest
from asgiref.sync import sync_to_async
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import RequestFactory
from django.urls import path
from prometheus_client import CollectorRegistry
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from adrf_sse.channels import apublish
from adrf_sse.decorators import event_stream
from adrf_sse.metrics import StreamMetrics
from adrf_sse.views import RunView
from tests.docs.examples import code_blocks
from tests.docs.mysite import file_of, load, url_patterns
from tests.docs.terminal import normalized
from tests.docs.test_examples import restored_state
from tests.project.orders.models import Order

SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
JSON = {"Accept": "application/json"}


@cache  # Celery warns of tasks that are defined again
def modules_of(page: str) -> dict[str, ModuleType]:
    return load(page, Order=Order)


@pytest.fixture
def mysite(settings):
    """Install the examples of a page: ``mysite("how-to/uploads.md")`` returns their modules by name."""
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    settings.MIDDLEWARE = SESSIONS
    settings.REST_FRAMEWORK = {}

    def mysite(page: str) -> dict[str, ModuleType]:
        modules = modules_of(page)
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": url_patterns(modules)})
        return modules

    return mysite


def names(events):
    return [event.event for event in events]


# Authentication


@pytest.mark.django_db(transaction=True)
def test_a_user_receives_committed_notifications_with_a_session_and_others_are_refused(mysite, event_stream_client):
    notify = mysite("how-to/authentication.md")["notifications"].notify
    alice, bob = (User.objects.create_user(name) for name in ("alice", "bob"))
    with event_stream_client.get("/notifications/", user=alice) as stream:
        with transaction.atomic():
            notify(alice, "rolled back")
            transaction.set_rollback(True)
        notify(bob, "for Bob")
        notify(alice, "for Alice")
        assert [event.data for event in stream.take(2)] == ["{}", '{"text":"for Alice"}']
    with event_stream_client.get("/notifications/") as stream:
        assert stream.status_code == 403


@pytest.mark.django_db(transaction=True)
def test_the_command_of_the_page_notifies_all_users(mysite, event_stream_client, monkeypatch):
    monkeypatch.setitem(sys.modules, "mysite.notifications", mysite("how-to/authentication.md")["notifications"])
    (command,) = (block.code for block in code_blocks("how-to/authentication.md") if "shell -c" in block.code)
    with event_stream_client.get("/notifications/", user=User.objects.create_user("alice")) as stream:
        assert stream.next().event == "ready"
        exec(shlex.split(command.splitlines()[0])[-1], {})
        assert stream.next().data == '{"text":"Hello"}'


def test_a_ticket_opens_the_stream_once_and_without_one_the_status_is_401(mysite, event_stream_client, db):
    mysite("how-to/authentication.md")
    token = Token.objects.create(user=User.objects.create_user("alice")).key
    response = APIClient(headers={"Authorization": f"Token {token}"}).post(
        "/tickets/", {"path": "/ticket-notifications/"}, format="json"
    )
    ticket = response.json()["ticket"]
    for query, status in ({"ticket": ticket}, 200), ({"ticket": ticket}, 401), ({}, 401):
        with event_stream_client.get("/ticket-notifications/", query) as stream:
            assert stream.status_code == status


# Progress of a task


@pytest.fixture
def orders(db):
    return [Order.objects.create(item=item) for item in ("Jug", "Cup")]


def test_a_stream_reports_the_progress_of_its_work(mysite, event_stream_client, orders):
    mysite("how-to/task-progress.md")
    with event_stream_client.post("/close-orders/") as stream:
        assert [event.data for event in stream][:2] == ['{"done":1,"total":2}', '{"done":2,"total":2}']
    assert set(Order.objects.values_list("status", flat=True)) == {"closed"}


def test_a_run_reports_the_progress_to_a_client_that_returns(mysite, event_stream_client, orders):
    mysite("how-to/task-progress.md")
    with event_stream_client.post("/closings/") as stream:
        assert names(stream) == ["progress", "progress", "end"]
        url = stream.headers["Location"]
    with event_stream_client.get(url) as stream:
        assert names(stream) == ["progress", "progress", "end"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_of_celery_produces_the_run(mysite, event_stream_client, settings, monkeypatch):
    modules = mysite("how-to/task-progress.md")
    for item in "Jug", "Cup":
        Order.objects.create(item=item)
    app = Celery("mysite", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False)
    task = app.task(name="close_orders")(modules["tasks"].close_orders_task.run)
    monkeypatch.setattr(modules["queue_views"], "close_orders_task", task)
    view = modules["queue_views"].CloseOrdersInQueue.as_view()
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("runs/", view), path("runs/<str:run_id>/", view)]})
    with (
        start_worker(app, pool="solo", loglevel=None, perform_ping_check=False),
        event_stream_client.post("/runs/") as stream,
    ):
        assert names(stream) == ["progress", "progress", "end"]


def test_a_page_that_is_opened_later_sees_the_progress_of_a_task(mysite, event_stream_client, db):
    modules = mysite("how-to/task-progress.md")
    modules["tasks"].import_rows(7, ["a", "b"])
    assert Order.objects.count() == 2
    with event_stream_client.get("/imports/7/", {"last_event_id": "0"}) as stream:
        assert names(stream.take(4)) == ["reset", "progress", "progress", "end"]


# Merging sources


class Watched:
    """A source that never ends, and notes its end."""

    def __init__(self):
        self.closed = asyncio.Event()

    async def events(self):
        try:
            yield "started", {}
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def failing():
    await asyncio.sleep(0)
    raise LookupError("a secret")
    yield


MERGES = ["merging", "anyio_merging"]


@pytest.mark.parametrize("merging", MERGES)
async def test_a_merged_stream_ends_with_its_last_source(mysite, visit, merging):
    modules = mysite("how-to/merging-sources.md")
    views = modules["views"]
    merged = modules[merging].merge(views.news(), views.weather())
    async with visit(stream_of(modules, merged)) as stream:
        assert sorted(names([event async for event in stream])) == ["news"] * 3 + ["weather"] * 2


@pytest.mark.parametrize("merging", MERGES)
async def test_the_sources_are_closed_when_the_client_leaves(mysite, visit, merging):
    modules = mysite("how-to/merging-sources.md")
    one, two = Watched(), Watched()
    async with visit(stream_of(modules, modules[merging].merge(one.events(), two.events()))) as stream:
        await stream.take(2)
    assert one.closed.is_set()
    assert two.closed.is_set()


@pytest.mark.parametrize("merging", MERGES)
async def test_an_error_of_one_source_closes_the_others_and_is_reported_once(mysite, visit, merging, caplog):
    modules = mysite("how-to/merging-sources.md")
    other = Watched()
    async with visit(stream_of(modules, modules[merging].merge(other.events(), failing()))) as stream:
        body = (await stream.body()).decode()
    assert other.closed.is_set()
    assert "A server error occurred." in body
    assert "secret" not in body
    assert any(record.exc_info and record.exc_info[0] is LookupError for record in caplog.records)


async def test_a_tolerant_source_lets_the_others_go_on(mysite, visit, caplog):
    modules = mysite("how-to/merging-sources.md")
    tolerant = modules["views"].tolerant
    with caplog.at_level(logging.CRITICAL):
        merged = modules["merging"].merge(tolerant("a", failing()), tolerant("b", Watched().events()))
        async with visit(stream_of(modules, merged)) as stream:
            assert sorted(names(await stream.take(2))) == ["started", "unavailable"]


async def test_a_tolerant_source_is_closed_in_the_task_that_read_it(mysite, visit):
    modules = mysite("how-to/merging-sources.md")
    began, ended = [], []

    async def source():
        began.append(asyncio.current_task())
        try:
            while True:
                yield "again", {"text": "x" * 10_000}  # so that it waits for room in the queue when the client leaves
        finally:
            ended.append(asyncio.current_task())

    merged = modules["merging"].merge(modules["views"].tolerant("a", source()))
    async with visit(stream_of(modules, merged)) as stream:
        await stream.take(2)
    assert began == ended


async def test_both_documented_dashboards_are_streams(mysite, visit):
    modules = mysite("how-to/merging-sources.md")
    for view in modules["views"].TolerantDashboard, modules["aiostream_views"].AiostreamDashboard:
        async with visit(view.as_view()) as stream:
            assert sorted(names([event async for event in stream])) == ["news"] * 3 + ["weather"] * 2


async def test_a_channel_and_a_timer_share_a_stream(mysite, visit):
    modules = mysite("how-to/merging-sources.md")
    async with visit(modules["views"].Auction.as_view()) as stream:
        assert (await stream.next()).event == "time"
        await apublish("bids", {"eur": 7}, event="bid")
        assert (await stream.next()).event == "bid"


def stream_of(modules, source):
    """Return a view that streams a source."""

    class View(modules["views"].AsyncSSEAPIView):
        async def get(self, request):
            return source

    return View.as_view()


# Uploads


def rows_file(*rows, name="orders.csv"):
    text = io.StringIO()
    csv.writer(text).writerows([["item", "status"], *rows])
    return SimpleUploadedFile(name, text.getvalue().encode())


def test_each_row_of_a_file_is_saved_or_reported(mysite, event_stream_client, db):
    mysite("how-to/uploads.md")
    form = {"file": rows_file(["Jug", "new"], ["", "paid"])}
    with event_stream_client.post("/import/", form, format="multipart") as stream:
        assert names(stream) == ["row", "wrong", "end"]
    assert list(Order.objects.values_list("item", flat=True)) == ["Jug"]


def test_a_file_that_is_too_large_is_refused(mysite, event_stream_client, db):
    mysite("how-to/uploads.md")
    form = {"file": SimpleUploadedFile("large.csv", b"x" * 10_000_001)}
    with event_stream_client.post("/import/", form, format="multipart") as stream:
        assert stream.status_code == 400
        assert stream.json() == {"file": ["The file must have at most 10 MB."]}


def test_a_file_of_a_spreadsheet_is_read_and_another_encoding_is_refused(mysite, event_stream_client, db):
    mysite("how-to/uploads.md")
    text = '\ufeffitem,status\r\n"Jug\r\nwith a lid",new\r\n'
    form = {"file": SimpleUploadedFile("a.csv", text.encode())}
    with event_stream_client.post("/import/", form, format="multipart") as stream:
        assert names(stream) == ["row", "end"]
    assert Order.objects.get().item == "Jug\r\nwith a lid"
    with event_stream_client.post(
        "/import/", {"file": SimpleUploadedFile("a.csv", "Käse".encode("latin-1"))}
    ) as stream:
        assert stream.status_code == 400
        assert stream.json() == {"file": ["The file must be text in UTF-8."]}


def test_an_upload_starts_a_run(mysite, event_stream_client, db):
    mysite("how-to/uploads.md")
    form = {"file": rows_file(["Jug", "new"])}
    with event_stream_client.post("/imports/", form, format="multipart", headers=JSON) as response:
        assert response.status_code == 202
        with event_stream_client.get(response.headers["Location"]) as stream:
            assert names(stream) == ["row", "end"]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_run_cannot_read_a_file_after_its_request_has_ended(visit, accept):
    ended, read = asyncio.Event(), asyncio.Future()

    class Late(RunView):
        async def run(self, request):
            file = request.data["file"]
            yield "started", {}
            await ended.wait()
            try:
                read.set_result(await sync_to_async(file.read)())
            except ValueError as exc:
                read.set_result(exc)

    request = {"method": "post", "data": {"file": rows_file()}, "format": "multipart"}
    async with visit(Late.as_view(), headers={"Accept": accept}, **request) as response:
        assert response.status_code < 300
        if accept == "application/json":
            await response.body()
        else:
            await response.next()
    ended.set()
    assert isinstance(await read, ValueError)


# Monitoring


async def test_the_log_and_the_metrics_of_a_stream_are_those_that_the_page_shows(settings, event_stream_client, caplog):
    @event_stream
    async def news(request):
        for number in range(3):
            yield str(number)

    (log,) = (block.code for block in code_blocks("monitoring.md") if block.language == "text")
    _, scrape = (block.code for block in code_blocks("monitoring.md") if block.language == "console")
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("news/", news, name="news")]})
    with restored_state(), caplog.at_level(logging.INFO, "adrf_sse"):
        metrics = StreamMetrics(CollectorRegistry())
        async with event_stream_client.get("/news/") as stream:
            assert len([event async for event in stream]) == 3
        printed = metrics.view(RequestFactory().get("/metrics/")).content.decode()
    (record,) = [record for record in caplog.records if record.name == "adrf_sse"]
    assert normalized(f"INFO {record.view} {record.getMessage()}") == normalized(log.split(maxsplit=2)[2])
    assert [
        line for line in printed.splitlines() if re.match("adrf_sse_streams_(open|closed_total)", line)
    ] == scrape.splitlines()[1:]


# Debugging


async def test_the_warning_of_a_source_that_blocks_is_the_one_that_the_page_shows(
    settings, event_stream_client, caplog, monkeypatch
):
    file = "/code/mysite/views.py"
    (ticker,) = [block for block in code_blocks("how-to/debugging.md") if file_of(block) == "views.py"]
    code = ticker.code.replace("asyncio", "time").replace("await ", "").replace("range(3)", "range(1)")
    monkeypatch.setitem(linecache.cache, file, (len(code), None, code.splitlines(keepends=True), file))
    names = {"__name__": "mysite.views"}
    exec(compile(code, file, "exec"), names)
    settings.DEBUG = True
    settings.ROOT_URLCONF = type(
        "URLs", (), {"urlpatterns": [path("ticker/", names["Ticker"].as_view(), name="ticker")]}
    )
    async with event_stream_client.get("/ticker/") as stream:
        await stream.body()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    _, shown = [block.code for block in code_blocks("how-to/debugging.md") if block.language == "text"]
    assert shown == f"WARNING ticker {warning}\n"
