"""What the examples of the pages do, as the pages say."""

import logging
import logging.config
import re
from itertools import takewhile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from drf_spectacular.generators import SchemaGenerator

from adrf_sse.events.event import END_EVENT, ERROR_EVENT, READY_EVENT, RESET_EVENT
from adrf_sse.live.changes import CREATED, DELETED, SNAPSHOT, UPDATED
from adrf_sse.settings import validated
from adrf_sse.views import AsyncSSEAPIView
from tests.docs.conftest import SESSIONS
from tests.docs.examples import DOCS
from tests.docs.pages import page_examples
from tests.docs.streams import body_of, events_of
from tests.docs.test_examples import restored_state
from tests.project.orders.models import Order

# README.md, index.md


@pytest.mark.parametrize("document", ["../README.md", "index.md"])
async def test_curl_prints_the_first_event(document, visit):
    async with visit(page_examples(document)["Ticker"].as_view()) as stream:
        assert await stream.next_chunk() == b'event: tick\ndata: {"number":0}\n\n'


def rows(page: str, *columns: str) -> dict[str, list[str]]:
    """Return the figures of the first table of a page with these columns, by the names of its rows, without ratios."""
    lines = (DOCS / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if all(f"| {column} |" in line for column in columns))
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in takewhile(lambda line: line.startswith("|"), lines[start:])
    ]
    numbers = [table[0].index(column) for column in columns]
    return {row[0]: [row[number].split(" ")[0] for number in numbers] for row in table[2:]}


def test_the_figures_of_the_home_page_are_those_of_the_benchmark():
    columns = "events/s, 50 streams", "threads/stream"
    measured = rows("performance.md", *columns)
    shown = rows("index.md", *columns)
    assert len(shown) == 6
    assert {name: measured[name] for name in shown} == shown


async def test_the_three_ways_to_stream(visit):
    found = page_examples("../README.md")
    events = await events_of(visit(found["Existing"].as_view()))
    assert events == [(None, '{"id":1,"eur":1.5}'), (None, '{"id":2,"eur":1.25}')]
    assert await events_of(visit(found["plain_django_view"])) == events
    percents = [("progress", '{"percent":50}'), ("progress", '{"percent":100}'), ("end", "{}")]
    assert await events_of(visit(found["progress"])) == percents
    assert await events_of(visit(found["progress"], method="post")) == percents[:2]
    async with visit(found["Prices"].as_view()) as response:
        assert response.status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_the_prices_and_the_orders_of_the_readme(visit):
    found, user = page_examples("../README.md"), await User.objects.acreate(username="alice")
    prices = visit(found["Prices"].as_view(), user=user, middleware=SESSIONS, headers={"Last-Event-ID": "1"})
    assert await events_of(prices) == [("price", '{"eur":1.25}')]
    await Order.objects.acreate(item="Tea pot")
    assert await events_of(visit(found["Orders"].as_view())) == [("order", '{"item":"Tea pot","status":"new"}')]


# checks.md, console.md, deployment.md


async def test_the_views_that_the_checks_suggest(visit):
    found = page_examples("checks.md")
    assert await events_of(visit(found["Prices"].as_view())) == [("price", '{"eur":1}')]
    assert callable(found["application"])


@pytest.mark.parametrize("view", ["Prices", "Chat"])
async def test_the_console_is_shown_to_a_browser(view, visit):
    view = page_examples("console.md")[view].as_view()
    async with visit(view, headers={"Accept": "text/html"}) as page:
        assert b"adrf_sse/console" in await page.body()


async def test_the_middleware_is_asynchronous_where_the_view_is():
    middleware = page_examples("deployment.md")["server_name"]

    async def view(request):
        return HttpResponse()

    request = RequestFactory().get("/")
    assert (await middleware(view)(request))["X-Server"] == "a"
    assert middleware(lambda request: HttpResponse())(request)["X-Server"] == "a"


# events.md, formats.md, typed-events.md


def test_the_names_that_have_a_meaning_are_those_of_the_package_and_of_browsers():
    section = (DOCS / "events.md").read_text().partition("## Names that have a meaning\n")[2].partition("\n## ")[0]
    names = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(.+?)`", row)
    ]
    assert sorted(names) == sorted(
        {READY_EVENT, RESET_EVENT, END_EVENT, ERROR_EVENT, SNAPSHOT, CREATED, UPDATED, DELETED}
        | {"open", "error", "message"}  # EventSource
        | {"open", "error", "close"}  # sse.js
    )


async def test_the_renderer_of_the_data_is_used(visit):
    found = page_examples("events.md")

    class City(AsyncSSEAPIView):
        renderer_classes = [found["ASCIIStream"]]

        async def get(self, request):
            yield {"city": "Köln"}

    assert await body_of(visit(City.as_view())) == 'data: {"city":"K\\u00f6ln"}\n\n'


async def test_curl_prints_each_format(visit):
    found = page_examples("formats.md")
    view = found["Planets"].as_view()
    events = await body_of(visit(view))
    mercury, venus = '{"name":"Mercury","moons":0}', '{"name":"Venus","moons":0}'
    assert events.startswith(f"id: 1\nevent: planet\ndata: {mercury}\n\nid: 2\nevent: planet\ndata: {venus}\n\n")
    lines = await body_of(visit(view, headers={"Accept": "application/jsonl"}))
    assert lines.splitlines()[:2] == [
        f'{{"event":"planet","id":"1","data":{mercury}}}',
        f'{{"event":"planet","id":"2","data":{venus}}}',
    ]
    rows = await body_of(visit(view, headers={"Accept": "application/json"}))
    assert rows == "[" + ",".join(lines.splitlines()[:2]) + "]"


async def test_bare_formats_contain_the_data_alone(visit):
    found = page_examples("formats.md")
    row = '{"name":"Mercury","moons":0}'
    for renderer, expected in (("BareLines", row + "\n"), ("BareList", f"[{row},")):
        view = type("Bare", (found["Planets"],), {"renderer_classes": [found[renderer]]}).as_view()
        assert (await body_of(visit(view))).startswith(expected)


async def test_typed_events_are_serialized(visit):
    body = await body_of(visit(page_examples("typed-events.md")["Prices"].as_view()))
    assert body.startswith('event: price\ndata: {"eur":"1.50"}\n\n')
    assert body.endswith("event: closed\ndata: See you tomorrow.\n\n")


# monitoring.md, settings.md, signals.md


def test_the_documented_log_names_the_view(capsys):
    with restored_state():
        found = page_examples("monitoring.md")
    logger = logging.getLogger("adrf_sse")
    before = logger.level, logger.handlers[:]
    try:
        logging.config.dictConfig(found["LOGGING"])
        logger.info("Opened", extra={"view": "news"})
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]
    assert capsys.readouterr().err.endswith(" INFO news Opened\n")


def test_the_documented_metrics_are_scraped(settings):
    with restored_state():
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": page_examples("monitoring.md")["urlpatterns"]})
        assert b"adrf_sse_streams_open" in Client().get("/metrics/").content


def test_the_documented_settings_are_valid():
    assert validated(page_examples("settings.md")["ADRF_SSE"])[1] == []


async def test_the_end_of_a_stream_is_logged(visit, caplog):
    with restored_state(), caplog.at_level("INFO", "mysite"):
        found = page_examples("signals.md")
        await events_of(visit(page_examples("checks.md")["Prices"].as_view()))
        assert found["logger"].name == "mysite"
    assert "/: completed after 0 s and 1 events" in caplog.messages


# openapi.md


def test_the_documented_bodies_are_in_the_openapi_document():
    found = page_examples("openapi.md")
    patterns = [path("chat/", found["Chat"].as_view()), path("jobs/", found["Jobs"].as_view())]
    paths = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)["paths"]

    def reference(message: Any) -> str:
        return message["content"]["application/json"]["schema"]["$ref"]

    assert reference(paths["/chat/"]["post"]["requestBody"]).endswith("/Prompt")
    assert reference(paths["/jobs/"]["post"]["responses"]["201"]).endswith("/Job")
    assert "text/event-stream" in paths["/jobs/"]["get"]["responses"]["200"]["content"]
    assert found["SPECTACULAR_SETTINGS"] == {"OAS_VERSION": "3.2.0"}
