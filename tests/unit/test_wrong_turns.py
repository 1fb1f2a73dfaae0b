"""Tests of frequent mistakes: each has a message that says what to do."""

import json
import logging

import pytest
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.http import Http404
from rest_framework.exceptions import APIException, NotFound, ValidationError

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer, JSONLinesRenderer
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView


@pytest.fixture
def warnings(caplog):
    """Return a function that returns the messages of the logger ``adrf_sse`` at level ``WARNING`` or above."""
    with caplog.at_level(logging.WARNING, "adrf_sse"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == "adrf_sse"]


@pytest.fixture
def exceptions():
    """Return the list of exceptions for which ``got_request_exception`` was sent."""
    received = []

    def receive(sender, request, **kwargs):
        received.append(request)

    got_request_exception.connect(receive)
    yield received
    got_request_exception.disconnect(receive)


# A frame as text


@event_stream
async def framed(request):
    for text in ("data: 1\n\n", "event: a\r\ndata: 2\r\n\r\n", ": comment\n\n"):
        yield text


class FramedLines(AsyncSSEAPIView):
    renderer_classes = [JSONLinesRenderer]

    async def get(self, request):
        yield "data: 1\n\n"


async def test_text_that_is_a_frame_is_sent_as_data_and_logged_once_for_each_stream(visit, warnings):
    for number in (1, 2):
        async with visit(framed) as stream:
            assert (await stream.body()).startswith(b"data: data: 1\ndata:\ndata:\n\ndata: event: a\n")
        assert len(warnings()) == number
    assert warnings()[0] == (
        "GET /: the source framed of the view tests.unit.test_wrong_turns.framed yielded a str that is already a "
        "frame, and it was sent as data: data: 1\\n\\n. Yield the data alone, or yield the frame as bytes."
    )


async def test_text_that_is_a_frame_is_logged_in_every_format(visit, warnings):
    async with visit(FramedLines.as_view(), headers={"Accept": "application/jsonl"}) as stream:
        assert await stream.body() == b'{"data":"data: 1\\n\\n"}\n'
    assert len(warnings()) == 1


@event_stream
async def paragraphs(request):
    for text in ("Hello:\n\n", "data: 1", "\n\n", "data: 1\n", "database: 1\n\n", "", "see data: 1\n\n"):
        yield text


async def test_other_text_is_not_logged(visit, warnings):
    async with visit(paragraphs) as stream:
        await stream.body()
    assert warnings() == []


# A refusal after the first event


@event_stream
async def refusing(request):
    yield "a"
    raise refusing.refusal


@pytest.mark.parametrize(
    ("refusal", "text", "data"),
    [
        (NotFound("No such\nprice."), "NotFound: No such\\nprice.", {"detail": "No such\nprice.", "code": "not_found"}),
        (Http404("secret"), "Http404: secret", {"detail": "Not found.", "code": "not_found"}),
        (
            PermissionDenied(),
            "PermissionDenied",
            {"detail": "You do not have permission to perform this action.", "code": "permission_denied"},
        ),
        (
            ExceptionGroup("g", [ValidationError("bad")]),
            "ValidationError: [ErrorDetail(string='bad', code='invalid')]",
            {"detail": ["bad"], "code": ["invalid"]},
        ),
    ],
    ids=["NotFound", "Http404", "PermissionDenied", "group"],
)
async def test_a_refusal_after_the_first_event_is_a_warning_in_one_line(visit, caplog, exceptions, refusal, text, data):
    refusing.refusal = refusal
    async with visit(refusing) as stream:
        assert (await stream.next()).data == "a"
        error = await stream.next()
    assert (error.event, json.loads(error.data)) == ("error", data)
    [record] = [record for record in caplog.records if record.name == "adrf_sse" and record.levelno > logging.INFO]
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    assert record.getMessage() == f"GET /: the source refusing refused its client while it was streaming. {text}"
    assert record.view == "tests.unit.test_wrong_turns.refusing"
    assert exceptions == []


@pytest.mark.parametrize("error", [APIException("down"), ValueError("secret")], ids=repr)
async def test_another_exception_after_the_first_event_is_an_error_with_its_traceback(visit, caplog, exceptions, error):
    @event_stream
    async def failing(request):
        yield "a"
        raise error

    async with visit(failing) as stream:
        await stream.body()
    [record] = [record for record in caplog.records if record.name == "adrf_sse" and record.levelno > logging.INFO]
    assert (record.levelname, record.exc_info[1]) == ("ERROR", error)
    assert len(exceptions) == 1


# A bad name of a channel


class BadChannels(ChannelStreamView):
    def get_channels(self):
        return ["news", f"orders.{self.request.GET['pk']}"]


async def test_the_log_names_a_bad_channel_and_its_view_and_the_client_is_told_neither(visit, caplog):
    async with visit(BadChannels.as_view(), url="/?pk=a%0Ab") as stream:
        assert stream.status_code == 400
        assert "orders" not in str(await stream.json())
    [record] = [record for record in caplog.records if record.name == "adrf_sse"]
    assert record.levelname == "WARNING"
    assert record.view == "tests.unit.test_wrong_turns.BadChannels"
    assert record.getMessage() == (
        "GET /: BadChannels.get_channels() returned a list that is not valid, and its client got a 400 response: a "
        "channel's name must be 1 to 200 of the characters A-Z a-z 0-9 . _ : -, got 'orders.a\\nb'. Leave out or "
        "replace the others."
    )


# The app is not installed


class Console(AsyncSSEAPIView):
    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    async def get(self, request):
        yield "a"


async def test_the_console_names_the_app_that_is_not_installed_and_the_stream_works(visit, settings, caplog):
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "adrf_sse"]
    async with visit(Console.as_view(), headers={"Accept": "text/event-stream"}) as stream:
        assert await stream.body() == b"data: a\n\n"
    async with visit(Console.as_view(), headers={"Accept": "text/html"}) as stream:
        assert stream.status_code == 500
    errors = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert errors == [
        "EventStreamConsoleRenderer must find its template and its static files in the app 'adrf_sse', got "
        "INSTALLED_APPS without it. Add 'adrf_sse' to INSTALLED_APPS."
    ]
