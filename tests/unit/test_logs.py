"""Tests of the records of the logger ``adrf_sse`` and their fields."""

import asyncio
import logging

import pytest
from django.test import RequestFactory
from django.urls import include, path, re_path
from rest_framework.exceptions import APIException

from adrf_sse.decorators import event_stream
from adrf_sse.logs import about, log, view_name
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.testing import EventStreamClient
from tests.support.sources import Recorder

A = len(b"data: a\n\n")


@event_stream(methods=["GET", "POST"])
async def endless(request):
    async for item in Recorder("a").run_for_ever():
        yield item


@event_stream
async def failing(request, pk):
    yield "a"
    raise ValueError("secret")


@event_stream
async def unstoppable(request):
    yield "a"
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if unstoppable.give_up.is_set():
                raise
            unstoppable.give_up.set()


@event_stream
async def unencodable_failure(request):
    yield "a"
    raise APIException({("no", "key"): "of a JSON object"})


async def plain(request):
    return EventStreamResponse(Recorder("a").run())


@pytest.fixture(autouse=True)
def _urls(settings):
    streams = [path("endless/", endless, name="endless"), path("failing/<int:pk>/", failing, name="failing")]
    settings.ROOT_URLCONF = type(
        "URLs",
        (),
        {
            "urlpatterns": [
                path("api/", include((streams, "api"))),
                path("plain/", plain),
                path("unstoppable/", unstoppable),
                path("detail/", unencodable_failure),
                re_path("^a/", plain),
            ]
        },
    )


@pytest.fixture
def records(caplog):
    """Return a function that returns the records so far. pytest keeps one list for each phase of a test."""
    with caplog.at_level(logging.DEBUG, "adrf_sse"):
        yield lambda: caplog.records


def fields(record, *names):
    return {name: getattr(record, name) for name in names}


async def test_a_stream_is_logged_when_it_opens_and_when_it_ends(records):
    async with EventStreamClient().post("/api/endless/") as stream:
        await stream.next()
        [opened] = records()
        assert (opened.levelname, opened.getMessage()) == ("DEBUG", "POST /api/endless/: the stream has opened.")
        assert fields(opened, "method", "path", "view") == {
            "method": "POST",
            "path": "/api/endless/",
            "view": "api:endless",
        }
        assert opened.request.resolver_match.url_name == "endless"
    ended = records()[-1]
    assert len(records()) == 2
    assert ended.levelname == "INFO"
    assert ended.getMessage() == (
        f"POST /api/endless/: the stream has ended, disconnected, after {ended.duration:.3f} s, 1 events, {A} bytes."
    )
    assert fields(ended, "reason", "events", "bytes", "view") == {
        "reason": "disconnected",
        "events": 1,
        "bytes": A,
        "view": "api:endless",
    }
    assert ended.request is opened.request
    assert ended.duration >= 0


async def test_a_successful_stream_is_not_logged_at_level_warning(caplog):
    with caplog.at_level(logging.WARNING, "adrf_sse"):
        async with EventStreamClient().get("/plain/") as stream:
            await stream.body()
    assert caplog.records == []


async def test_the_record_of_a_failure_names_the_request_and_the_source(records):
    async with EventStreamClient().get("/api/failing/7/") as stream:
        await stream.body()
    [error] = [record for record in records() if record.levelname == "ERROR"]
    ended = records()[-1]
    assert fields(error, "method", "path", "view", "source") == {
        "method": "GET",
        "path": "/api/failing/7/",
        "view": "api:failing",
        "source": "failing",
    }
    assert error.request is ended.request is not None
    assert ended.reason == "error"


async def test_the_record_of_a_source_that_does_not_stop_names_the_request(records, settings):
    settings.ADRF_SSE = {"CLEANUP_TIMEOUT": 0.01}
    unstoppable.give_up = asyncio.Event()
    async with EventStreamClient().get("/unstoppable/") as stream:
        await stream.next()
    [error] = [record for record in records() if record.levelname == "ERROR"]
    assert fields(error, "path", "source") == {"path": "/unstoppable/", "source": "unstoppable"}


async def test_the_record_of_a_detail_that_can_not_be_encoded_names_the_request(records):
    async with EventStreamClient().get("/detail/") as stream:
        await stream.body()
    failed, unencodable = [record for record in records() if record.levelname == "ERROR"]
    assert "can't be encoded" in unencodable.getMessage()
    assert failed.path == unencodable.path == "/detail/"
    assert failed.source == unencodable.source == "unencodable_failure"


async def test_line_breaks_in_a_path_are_escaped(records):
    async with EventStreamClient().get("/a/b%0Aforged") as stream:
        await stream.body()
    assert all("\n" not in record.getMessage() for record in records())
    assert records()[0].getMessage() == "GET /a/b\\nforged: the stream has opened."
    assert records()[0].path == "/a/b\\nforged"


CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\ud800"]


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_control_characters_are_escaped_in_each_field(character):
    request = RequestFactory().get("/")
    request.path, request.method = f"/é{character}b", f"G{character}T"
    fields = about(request, source=f"a{character}b", channels=[f"a{character}b"], events=1)
    escaped = character.encode("unicode_escape").decode()
    assert fields == {
        "request": request,
        "method": f"G{escaped}T",
        "path": f"/é{escaped}b",
        "view": "unknown",
        "source": f"a{escaped}b",
        "channels": [f"a{escaped}b"],
        "events": 1,
    }


async def test_a_stream_without_a_request_is_logged(records):
    response = EventStreamResponse(Recorder("a").run())
    assert b"".join([chunk async for chunk in response]) == b"data: a\n\n"
    assert [fields(record, "request", "path", "view") for record in records()] == [
        {"request": None, "path": None, "view": "unknown"}
    ] * 2


def test_fields_are_not_computed_for_a_disabled_level(caplog):
    class Costly:
        @property
        def resolver_match(self):
            raise AssertionError

    with caplog.at_level(logging.WARNING, "adrf_sse"):
        log(logging.INFO, "%(path)s", Costly())


def test_no_field_conflicts_with_an_attribute_of_log_records(caplog):
    """``logging`` raises ``KeyError`` if an extra field has the name of an existing attribute."""
    values = about(RequestFactory().get("/"), reason="error", duration=1.0, events=1, bytes=1, source="source")
    logging.getLogger("adrf_sse").makeRecord("adrf_sse", logging.INFO, "", 0, "", (), None, extra=values)


async def test_streams_are_counted_by_the_name_of_their_url_pattern():
    client = EventStreamClient()
    async with client.get("/api/endless/") as one, client.get("/api/endless/") as two:
        await one.next()
        await two.next()
        assert open_streams.by_view() == {"api:endless": 2}
        assert await asyncio.to_thread(open_streams.by_view) == {"api:endless": 2}
    assert open_streams.by_view() == {}


async def test_a_url_pattern_without_a_name_is_identified_by_its_views_path(records):
    async with EventStreamClient().get("/plain/") as stream:
        await stream.body()
    assert records()[0].view == "tests.unit.test_logs.plain"


def test_the_view_is_unknown_if_no_url_pattern_matched():
    assert view_name(RequestFactory().get("/plain/")) == view_name(None) == "unknown"
