"""Tests of streams that are collected into one JSON list for clients that can't stream."""

import asyncio
import datetime
import json
import os
import threading

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.signals import request_finished
from django.db import OperationalError, connection, connections
from django.http import Http404
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import permission_classes, renderer_classes
from rest_framework.exceptions import NotAuthenticated, NotFound, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer
from adrf_sse.runtime import request_threads
from adrf_sse.signals import stream_opened
from adrf_sse.streams import collector as collectors
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.sync_sources import count_sync_sources
from adrf_sse.views import AsyncSSEAPIView
from tests.project.views import SOURCES
from tests.servers.test_servers import ROOT, UVICORN
from tests.support.parameters import slow_except
from tests.support.servers import serve
from tests.support.sources import Recorder

JSON = {"Accept": "application/json"}
INSTEAD = " Ask for it with the header Accept: text/event-stream or application/jsonl or application/x-ndjson."


async def prices():
    yield ServerSentEvent(comment="about to begin", retry=1000)
    yield "price", {"eur": 1}, 1
    yield "☃"
    yield b'id: 2\ndata: {"eur":2}\n\n'
    yield None


PRICES = (
    '[{"event":"price","id":"1","data":{"eur":1}},{"data":"☃"},{"id":"2","data":"{\\"eur\\":2}"},{"data":null}]'
).encode()


class Collected(AsyncSSEAPIView):
    """A view that can be read in three formats."""

    renderer_classes = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]
    source = staticmethod(prices)

    async def get(self, request):
        return self.source()

    post = get


def view_of(source, **attributes):
    return type("View", (Collected,), {"source": staticmethod(source), **attributes}).as_view()


# Responses


@pytest.mark.parametrize("method", ["get", "post"])
async def test_a_stream_requested_as_json_is_one_list(visit, method):
    async with visit(Collected.as_view(), method=method, headers=JSON) as stream:
        assert stream.status_code == 200
        assert await stream.body() == PRICES
        assert dict(stream.headers) == {
            "Content-Type": "application/json",
            "Allow": "GET, POST, HEAD, OPTIONS",
            "Vary": "Accept",
        }


async def test_every_kind_of_handler_and_source_can_be_collected(visit):
    class View(Collected):
        def put(self, request):
            yield "one"
            yield "two"
            yield "three"

    for kind in SOURCES:
        view = view_of(lambda kind=kind: SOURCES[kind](type("Request", (), {"GET": {}})))
        async with visit(view, headers=JSON) as stream:
            assert await stream.json() == [{"data": "one"}, {"data": "two"}, {"data": "three"}]
    async with visit(View.as_view(), method="put", headers=JSON) as stream:
        assert await stream.json() == [{"data": "one"}, {"data": "two"}, {"data": "three"}]
    assert count_sync_sources() == 0


async def test_a_function_view_can_be_collected(visit):
    @event_stream
    @renderer_classes([JSONRenderer])
    async def view(request):
        async for event in prices():
            yield event

    async with visit(view) as stream:
        assert await stream.body() == PRICES


async def test_a_stream_without_events_is_an_empty_list(visit):
    async with visit(view_of(Recorder().run), headers=JSON) as stream:
        assert (stream.status_code, await stream.body()) == (200, b"[]")


async def test_the_client_receives_the_status_headers_and_cookies_of_the_response(visit):
    class View(Collected):
        async def get(self, request):
            response = Response(prices(), status=206, headers={"X-A": "b"}, content_type="application/json; x=y")
            response.set_cookie("seen", "yes")
            return response

    async with visit(View.as_view(), headers=JSON) as stream:
        assert (stream.status_code, stream.headers["X-A"]) == (206, "b")
        assert stream.headers["Content-Type"] == "application/json; x=y"
        assert stream.cookies["seen"].value == "yes"
        assert await stream.body() == PRICES


async def test_a_finite_stream_is_a_list_and_a_204_after_its_end(visit):
    view = view_of(prices, finite=True, retry=500)
    async with visit(view, headers=JSON) as stream:
        assert await stream.body() == PRICES
    async with visit(view, headers=JSON | {"Last-Event-ID": "adrf-sse-end"}) as stream:
        assert (stream.status_code, await stream.body()) == (204, b"")


@pytest.mark.parametrize("kind", ["run_for_ever", "run_in_thread"])
async def test_a_head_request_does_not_start_the_source(visit, kind):
    source = Recorder("a")
    async with visit(view_of(getattr(source, kind)), method="head", headers=JSON) as stream:
        assert stream.status_code == 200
        assert await stream.body() == b""
        assert dict(stream.headers) == {
            "Content-Type": "application/json",
            "Allow": "GET, POST, HEAD, OPTIONS",
            "Vary": "Accept",
        }
    assert not source.started
    assert count_sync_sources() == 0


async def test_events_are_encoded_as_soon_as_they_are_yielded(visit):
    async def source():
        state = {"n": 0}
        for _ in range(3):
            state["n"] += 1
            yield state

    async with visit(view_of(source), headers=JSON) as stream:
        assert await stream.json() == [{"data": {"n": 1}}, {"data": {"n": 2}}, {"data": {"n": 3}}]


# The renderer


class Wrapped(JSONRenderer):
    """Wrap each response in an object, as a project may do."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return super().render({"count": len(data), "results": data}, accepted_media_type, renderer_context)


class Words(JSONEncoder):
    def default(self, obj):
        return "words" if isinstance(obj, datetime.timedelta) else super().default(obj)


class WithEncoder(JSONRenderer):
    encoder_class = Words


class Text(BaseRenderer):
    media_type = "application/json"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return json.dumps(data, indent=1)


class Bare(JSONRenderer):
    envelope = False


@pytest.mark.parametrize(
    ("renderer", "accept", "body"),
    [
        (JSONRenderer, "application/json; indent=1", b'[\n {\n  "event": "took",\n  "data": "3.0"\n }\n]'),
        (Wrapped, "application/json", b'{"count":1,"results":[{"event":"took","data":"3.0"}]}'),
        (WithEncoder, "application/json", b'[{"event":"took","data":"words"}]'),
        (Text, "application/json", b'[\n {\n  "event": "took",\n  "data": "3.0"\n }\n]'),
        (Bare, "application/json", b'["3.0"]'),
    ],
)
async def test_the_projects_renderer_renders_the_list_once(visit, renderer, accept, body):
    source = Recorder(("took", datetime.timedelta(seconds=3)))
    view = view_of(source.run, renderer_classes=[renderer])
    async with visit(view, headers={"Accept": accept}) as stream:
        assert await stream.body() == body
    charset = f"; charset={renderer.charset}" if renderer.charset else ""
    assert stream.headers["Content-Type"] == f"application/json{charset}"
    async with visit(view, method="head", headers={"Accept": accept}) as stream:
        assert stream.headers["Content-Type"] == f"application/json{charset}"


# Errors


async def failing(error):
    for number in range(3):
        yield number
        await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (NotFound("Gone."), 404, {"detail": "Gone."}),
        (Http404(), 404, {"detail": "Not found."}),
        (PermissionDenied(), 403, {"detail": "You do not have permission to perform this action."}),
        (ValidationError({"a": ["b"]}), 400, {"a": ["b"]}),
        (ExceptionGroup("secret", [NotFound("Gone.")]), 404, {"detail": "Gone."}),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_an_error_at_any_time_is_an_http_error(visit, error, status, body):
    async with visit(view_of(lambda: failing(error)), headers=JSON) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (status, "application/json")
        assert await stream.json() == body
    assert len(open_streams) == 0


@pytest.mark.parametrize(
    "source",
    [lambda: failing(ValueError("secret")), Recorder("a", object(), "never").run],
    ids=["raised", "not encodable"],
)
async def test_an_unexpected_error_is_a_500_that_does_not_reveal_the_cause(visit, source):
    async with visit(view_of(source), headers=JSON) as stream:
        assert stream.status_code == 500
        assert b"secret" not in await stream.body()


async def test_a_source_that_cancels_its_own_task_is_a_500(visit):
    async def source():
        yield "a"
        asyncio.current_task().cancel()
        await asyncio.Event().wait()

    async with visit(view_of(source), headers=JSON) as stream:
        assert stream.status_code == 500


async def test_beyond_max_sync_streams_the_response_is_a_503(visit, settings):
    settings.ADRF_SSE = {"MAX_SYNC_STREAMS": 1}
    kept = EventStreamRenderer().event_stream(iter(["a"]))
    async with visit(view_of(Recorder("a").run_in_thread), headers=JSON) as stream:
        assert (stream.status_code, stream.headers["Retry-After"]) == (503, "5")
    kept.close()


# Limits


async def numbers(count):
    for number in range(count):
        yield number


async def test_more_than_ten_thousand_events_are_a_406_response(visit):
    async with visit(view_of(lambda: numbers(10_000)), headers=JSON) as stream:
        assert len(await stream.json()) == 10_000
    async with visit(view_of(lambda: numbers(10_001)), headers=JSON) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (406, "application/json")
        detail = "This stream has more than 10,000 events, too many for one list." + INSTEAD
        assert await stream.json() == {"detail": detail}


async def test_the_limit_counts_the_events_in_the_list(visit):
    async def source():
        for number in range(5_000):
            yield ServerSentEvent(comment="not one")
            yield b"data: %d\n\ndata: %d\n\n" % (number, number)

    async with visit(view_of(source), headers=JSON) as stream:
        assert len(await stream.json()) == 10_000


async def test_more_than_eight_mebibytes_are_a_406_response(visit):
    source = Recorder(*["x" * (5 * 1024 * 1024)] * 2)
    async with visit(view_of(source.run_for_ever), headers=JSON) as stream:
        assert stream.status_code == 406
        detail = "This stream has more than 8,388,608 bytes of events, too many for one list." + INSTEAD
        assert await stream.json() == {"detail": detail}
    assert source.closed


async def test_a_stream_that_takes_too_long_is_a_406_response_and_its_source_is_closed(visit, monkeypatch):
    monkeypatch.setattr(collectors, "MAX_SECONDS", 0.01)
    source = Recorder("a")
    async with visit(view_of(source.run_for_ever), headers=JSON) as stream:
        assert stream.status_code == 406
        assert await stream.json() == {"detail": "This stream did not end within 0.01 seconds." + INSTEAD}
    assert source.closed
    assert source.close_task is source.start_task
    assert len(open_streams) == 0


async def test_a_stream_that_exceeds_max_duration_is_a_406_response(visit):
    source = Recorder("a")
    view = view_of(source.run_for_ever, max_duration=0.01, renderer_classes=[JSONRenderer])
    async with visit(view, headers=JSON) as stream:
        assert stream.status_code == 406
        assert await stream.json() == {"detail": "This stream did not end within 0.01 seconds."}
    assert source.closed


async def test_an_asynchronous_source_with_too_many_events_is_closed(visit):
    source = Recorder(*range(1_000_000))
    async with visit(view_of(source.run), headers=JSON) as stream:
        assert stream.status_code == 406
    assert source.closed
    assert source.close_task is source.start_task
    assert source.yielded < 30_000


async def test_a_synchronous_source_with_too_many_events_is_closed(visit):
    source = Recorder(*["x" * 65_536] * 1_000)
    async with visit(view_of(source.run_in_thread), headers=JSON, served=True) as stream:
        assert stream.status_code == 406
    assert source.closed
    assert source.yielded < 1_000
    assert count_sync_sources() == 0


# Reauthorization


class Later(BasePermission):
    """Allow the first request, and give the checks after it the answers of ``later``."""

    def __init__(self, *later):
        self.later, self.first, self.calls = list(later), True, 0

    def __call__(self):
        return self

    def has_permission(self, request, view):
        self.calls += 1
        if self.calls == 1 or not self.later:
            return True
        answer = self.later.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def checked_view(source, permission, **attributes):
    return view_of(source, permission_classes=[permission], reauthorize_interval=0.01, **attributes)


class Header(BaseAuthentication):
    def authenticate(self, request):
        return ("alice", None)

    def authenticate_header(self, request):
        return "Bearer"


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    ("refusal", "attributes", "status"),
    [
        (False, {}, 403),
        (PermissionDenied(), {}, 403),
        (NotAuthenticated(), {"authentication_classes": [Header]}, 401),
        (Http404(), {}, 404),
    ],
)
async def test_a_client_that_loses_its_permission_gets_no_list(visit, refusal, attributes, status, served):
    source = Recorder("secret")
    view = checked_view(source.run_for_ever, Later(True, refusal), **attributes)
    async with visit(view, headers=JSON, served=served) as stream:
        assert stream.status_code == status
        assert "secret" not in str(await stream.json())
    assert source.closed
    assert len(open_streams) == 0


async def test_a_check_that_fails_once_does_not_end_the_collection(visit):
    permission = Later(OperationalError("away"), True, True)

    async def source():
        while permission.calls < 4:
            await asyncio.sleep(0.001)
        yield "a"

    async with visit(checked_view(source, permission), headers=JSON, served=True) as stream:
        assert await stream.json() == [{"data": "a"}]


async def test_checks_that_fail_three_times_in_a_row_end_the_collection_with_a_500(visit):
    source = Recorder("secret")
    view = checked_view(source.run_for_ever, Later(*[OperationalError("away")] * 3))
    async with visit(view, headers=JSON, served=True) as stream:
        assert stream.status_code == 500
        assert b"secret" not in await stream.body()
    assert source.closed


async def test_a_function_view_is_checked_while_its_list_is_collected(visit):
    source = Recorder("secret")

    @event_stream(reauthorize_interval=0.01)
    @renderer_classes([JSONRenderer])
    @permission_classes([Later(False)])
    async def view(request):
        return source.run_for_ever()

    async with visit(view, served=True) as stream:
        assert stream.status_code == 403
    assert source.closed


# Resources and the end of the request


async def test_the_source_is_closed_before_request_finished_when_the_client_disconnects(visit):
    order, started = [], asyncio.Event()

    async def source():
        task = asyncio.current_task()
        try:
            yield "a"
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("closed" if asyncio.current_task() is task else "closed in another task")

    def finished(**kwargs):
        order.append("request_finished")

    request_finished.connect(finished)
    stream = visit(view_of(source), headers=JSON)
    opening = asyncio.create_task(stream.__aenter__())
    await started.wait()
    await stream.__aexit__(None, None, None)
    with pytest.raises(AssertionError):
        await opening
    request_finished.disconnect(finished)
    assert order == ["closed", "request_finished"]
    assert len(open_streams) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("middleware", [(), ("tests.support.middleware.sync_only",)], ids=["", "sync middleware"])
async def test_the_requests_thread_and_connection_are_released_while_events_are_collected(
    visit, monkeypatch, middleware
):
    monkeypatch.setattr(request_threads, "REQUEST_THREAD_TIMEOUT", 3600)
    used, go, collecting = [], asyncio.Event(), asyncio.Event()

    def touch():
        connection.ensure_connection()
        used.append((threading.current_thread(), connections["default"]))

    async def source():
        yield await get_user_model().objects.acount()
        collecting.set()
        await go.wait()
        yield await sync_to_async(lambda: threading.current_thread().name)()

    class View(Collected):
        def initial(self, request, *args, **kwargs):
            touch()
            super().initial(request, *args, **kwargs)

        async def get(self, request):
            return source()

    stream = visit(View.as_view(), headers=JSON, served=True, middleware=middleware)
    opening = asyncio.create_task(stream.__aenter__())
    await collecting.wait()
    [(thread, held)] = used
    assert held.connection is None
    if not middleware:  # synchronous middleware waits in that thread for the view
        await asyncio.to_thread(thread.join)
    go.set()
    response = await opening
    assert await response.json() == [{"data": 0}, {"data": "adrf_sse streams"}]
    await stream.__aexit__(None, None, None)


async def test_collecting_a_list_does_not_send_stream_opened(visit):
    sent_signals = []

    def record_signal(**kwargs):
        sent_signals.append(kwargs)

    stream_opened.connect(record_signal)
    async with visit(Collected.as_view(), headers=JSON) as stream:
        await stream.body()
    stream_opened.disconnect(record_signal)
    assert sent_signals == []


# Real servers


@pytest.mark.server
@pytest.mark.parametrize("server", slow_except(["uvicorn", "gunicorn sync"], ["uvicorn", "gunicorn sync", "runserver"]))
def test_every_server_sends_the_list(project, server):
    client = project(server)
    for kind in SOURCES:
        response = client.get(f"/formats/{kind}/", headers=JSON)
        assert response.content == b'[{"data":"one"},{"data":"two"},{"data":"three"}]'
        assert response.headers["Content-Type"] == "application/json"
    head = client.head("/formats/async/", headers=JSON)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, "application/json", b"")


@pytest.mark.server
async def test_a_stopping_server_responds_with_503_and_closes_the_source(tmp_path):
    started, marks = tmp_path / "started", tmp_path / "marks"
    os.mkfifo(started)
    marks.touch()
    env = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}
    with serve(UVICORN, env=env, cwd=ROOT) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
            params = {"marks": str(marks), "started": str(started)}
            asking = asyncio.create_task(client.get("/forever/", params=params, headers=JSON))
            await asyncio.to_thread(started.read_bytes)
            running.process.terminate()
            response = await asking
        await asyncio.to_thread(running.process.wait, 15)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert response.json() == {"detail": "The server is stopping. Try again later."}
        assert marks.stat().st_size == 1
        assert running.output.count("Traceback") == 0
