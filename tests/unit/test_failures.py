"""Tests of ``format_error()``, which decides what a stream sends for an error after the first event."""

import asyncio
import logging
import threading

import pytest
from adrf.views import APIView
from django.contrib.auth.models import User
from rest_framework.exceptions import APIException, NotFound
from rest_framework.response import Response
from rest_framework.views import exception_handler

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams import failures
from adrf_sse.views import AsyncSSEAPIView

WORD = b"data: word\n\n"
DEFAULT = b'event: error\ndata: {"detail":"A server error occurred.","code":"error"}\n\n'


class Boom(Exception):
    pass


async def failing(error=None):
    yield "word"
    raise error or Boom


class Failing(AsyncSSEAPIView):
    async def get(self, request):
        return failing()

    post = get


def formatted(result):
    """Return a view whose ``format_error()`` returns a value, or raises it if it is an exception."""

    def format_error(self, exc):
        assert isinstance(exc, Boom)
        if isinstance(result, Exception):
            raise result
        return result

    return type("View", (Failing,), {"format_error": format_error})


@pytest.mark.parametrize(
    ("result", "frame"),
    [
        ({"error": {"message": "m"}}, b'data: {"error":{"message":"m"}}\n\n'),
        (("failed", "m"), b"event: failed\ndata: m\n\n"),
        (("failed", "m", 5), b"id: 5\nevent: failed\ndata: m\n\n"),
        (b"event: x\ndata: y\n\n", b"event: x\ndata: y\n\n"),
        (None, b""),
    ],
    ids=repr,
)
async def test_what_format_error_returns_is_sent_for_an_error(visit, result, frame):
    async with visit(formatted(result).as_view()) as stream:
        assert await stream.body() == WORD + frame


async def test_a_finite_stream_ends_with_the_formatted_error_in_answers_to_get_only(visit):
    for result, frame in (
        (("failed", "m", 5), b"id: adrf-sse-end\nevent: failed\ndata: m\n\n"),
        (None, b"id: adrf-sse-end\nevent: end\ndata: {}\n\n"),
    ):
        view = formatted(result).as_view(finite=True, end_event="[DONE]")
        async with visit(view) as stream:
            assert await stream.body() == WORD + frame
        async with visit(view, method="post") as stream:
            assert b"adrf-sse-end" not in await stream.body()


async def test_the_formatted_error_is_a_line_of_json_lines(visit):
    view = formatted(("failed", "m")).as_view(renderer_classes=[JSONLinesRenderer])
    async with visit(view) as stream:
        assert await stream.body() == b'{"data":"word"}\n{"event":"failed","data":"m"}\n'


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("served", [False, True])
async def test_a_synchronous_format_error_can_use_the_orm(visit, served):
    class View(Failing):
        def format_error(self, exc):
            return "failed", {"users": User.objects.count()}

    async with visit(View.as_view(), served=served) as stream:
        assert await stream.body() == WORD + b'event: failed\ndata: {"users":0}\n\n'


async def test_format_error_may_be_a_coroutine_function(visit):
    class View(Failing):
        async def format_error(self, exc):
            return "failed", type(exc).__name__

    async with visit(View.as_view()) as stream:
        assert await stream.body() == WORD + b"event: failed\ndata: Boom\n\n"


@pytest.mark.parametrize(
    "result", [ValueError("secret"), object(), (1, 2), b"half", b"", b":\n\n", {"a": object()}], ids=list("1234567")
)
async def test_a_format_error_that_fails_is_logged_and_the_default_is_sent(visit, caplog, result):
    async with visit(formatted(result).as_view()) as stream:
        assert await stream.body() == WORD + DEFAULT
    [record] = [record for record in caplog.records if "format_error() has failed" in record.getMessage()]
    assert (record.levelno, record.view) == (logging.ERROR, f"{__name__}.View")


async def test_format_error_can_extend_the_default(visit):
    class View(Failing):
        error_event = "oops"

        def format_error(self, exc):
            event = super().format_error(exc)
            return event.with_data({**event.data, "trace": 7})

    async with visit(View.as_view()) as stream:
        error = b'event: oops\ndata: {"detail":"A server error occurred.","code":"error","trace":7}\n\n'
        assert await stream.body() == WORD + error


def problem_handler(exc, context):
    """Handle API exceptions in the form of RFC 9457, as projects do."""
    assert context["view"].request is context["request"]
    response = exception_handler(exc, context)
    if response is None and isinstance(exc, Boom):
        return Response({"title": "Boom"}, status=500)
    if response is not None:
        response.data = {"title": response.data["detail"], "status": response.status_code}
    return response


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (NotFound("No such chat."), b'{"title":"No such chat.","status":404}'),
        (Boom(), b'{"title":"Boom"}'),
        (KeyError("secret"), b'{"detail":"A server error occurred.","code":"error"}'),
    ],
    ids=repr,
)
@pytest.mark.parametrize("base", [AsyncSSEAPIView, APIView])
async def test_the_data_of_an_error_is_the_answer_of_the_projects_exception_handler(visit, error, data, base):
    class View(base):
        renderer_classes = [EventStreamRenderer]

        def get_exception_handler(self):
            return problem_handler

        async def get(self, request):
            return Response(failing(error))

    async with visit(View.as_view()) as stream:
        assert await stream.body() == WORD + b"event: error\ndata: " + data + b"\n\n"


@pytest.mark.parametrize("synchronous", [False, True])
async def test_a_format_error_that_hangs_is_logged_and_the_default_is_sent(visit, monkeypatch, caplog, synchronous):
    class View(Failing):
        def format_error(self, exc):
            return go_on.wait() if synchronous else asyncio.Event().wait()

    go_on = threading.Event()
    monkeypatch.setattr(failures, "FORMAT_TIMEOUT", 0.01)
    async with visit(View.as_view()) as stream:
        assert await stream.body() == WORD + DEFAULT
        go_on.set()
    assert "format_error() has failed" in caplog.text


async def test_an_exception_handler_that_fails_is_logged_and_the_default_is_sent(visit, caplog):
    def handler(exc, context):
        raise KeyError

    view = type("View", (Failing,), {"get_exception_handler": lambda self: handler})
    async with visit(view.as_view()) as stream:
        assert await stream.body() == WORD + DEFAULT
    assert "format_error() has failed for Boom()." in caplog.messages


async def test_functions_responses_and_views_that_have_only_the_renderer_format_errors(visit):
    @event_stream(format_error=lambda exc: ("failed", type(exc).__name__))
    async def function(request):
        yield "word"
        raise Boom

    async def plain(request):
        return EventStreamResponse(failing(), format_error=lambda exc: ("failed", type(exc).__name__))

    class Stock(APIView):
        renderer_classes = [EventStreamRenderer]

        async def get(self, request):
            return Response(failing())

        def format_error(self, exc):
            return "failed", type(exc).__name__

    for view in (function, plain, Stock.as_view()):
        async with visit(view) as stream:
            assert await stream.body() == WORD + b"event: failed\ndata: Boom\n\n"


def test_a_format_error_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"format_error must be a method, got 'x'\. Write def format_error"):
        type("View", (AsyncSSEAPIView,), {"format_error": "x"})
    with pytest.raises(TypeError, match=r"format_error must be a function, got 'x'\."):
        event_stream(format_error="x")
    with pytest.raises(TypeError, match="format_error must be a function of an exception, got 'x'"):
        EventStreamResponse(failing(), format_error="x")


async def test_format_error_is_not_asked_for_an_error_before_the_first_event(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            raise APIException
            yield

        def format_error(self, exc):
            raise AssertionError

    async with visit(View.as_view()) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (500, "application/json")
