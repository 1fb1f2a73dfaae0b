import asyncio
import json
import logging
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
from adrf.views import APIView
from adrf.viewsets import GenericViewSet, ViewSet
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.http import Http404, HttpResponse
from rest_framework.exceptions import NotFound, Throttled, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework.versioning import QueryParameterVersioning

from adrf_sse import ServerSentEvent
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.support.sources import Recorder

PRICES = b'id: 1\nevent: price\ndata: {"eur":1}\n\nid: 2\nevent: price\ndata: {"eur":2}\n\n'


async def prices():
    yield "price", {"eur": 1}, 1
    yield "price", {"eur": 2}, 2


class AllShapes(AsyncSSEAPIView):
    async def get(self, request):
        yield "price", {"eur": 1}, 1
        yield "price", {"eur": 2}, 2

    async def post(self, request):
        return prices()

    async def put(self, request):
        return Response(prices())

    def patch(self, request):
        yield "price", {"eur": 1}, 1
        yield "price", {"eur": 2}, 2

    @asynccontextmanager
    async def delete(self, request):
        yield prices()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_every_kind_of_handler_sends_the_same_bytes(visit, method):
    async with visit(AllShapes.as_view(), method=method) as stream:
        assert stream.status_code == 200
        assert await stream.body() == PRICES
        assert dict(stream.headers) == {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
            "Allow": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS",
        }


async def test_a_synchronous_handler_can_return_a_source_or_a_response(visit):
    class View(AsyncSSEAPIView):
        def get(self, request):
            return prices()

        def post(self, request):
            return Response(prices(), status=202)

    async with visit(View.as_view()) as stream:
        assert await stream.body() == PRICES
    async with visit(View.as_view(), method="post") as stream:
        assert stream.status_code == 202
        assert await stream.body() == PRICES


async def test_a_handler_can_return_data_or_any_response(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return Response({"a": 1}, status=202)

        async def post(self, request):
            return HttpResponse("plain", content_type="text/plain", status=203)

    async with visit(View.as_view(), headers={"Accept": "text/event-stream"}) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (202, "application/json")
        assert await stream.json() == {"a": 1}
    async with visit(View.as_view(), method="post") as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (203, "text/plain")
        assert await stream.body() == b"plain"


@pytest.mark.parametrize("result", [None, "text", ["a"], {"a": 1}])
async def test_the_error_for_another_return_value_says_what_to_return(visit, caplog, result):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return result

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 500
    error = caplog.records[-1].exc_info[1]
    assert isinstance(error, TypeError)
    assert str(error).endswith(
        f"View.get must yield events, or return a source or a response, got {result!r}. Return Response(data) for data."
    )


async def test_viewsets_can_stream_with_the_mixin(visit):
    class Prices(EventStreamMixin, ViewSet):
        renderer_classes = [EventStreamRenderer]

        async def list(self, request):
            yield "list"

        def retrieve(self, request):
            yield "retrieve"

    class Generic(EventStreamMixin, GenericViewSet):
        renderer_classes = [EventStreamRenderer]

        async def stream(self, request):
            yield "generic"

    for view, body in [
        (Prices.as_view({"get": "list"}), b"data: list\n\n"),
        (Prices.as_view({"get": "retrieve"}), b"data: retrieve\n\n"),
        (Generic.as_view({"get": "stream"}), b"data: generic\n\n"),
    ]:
        async with visit(view) as stream:
            assert await stream.body() == body


async def test_the_client_receives_the_status_headers_and_cookies_of_the_response(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            response = Response(
                prices(),
                status=206,
                headers={"X-A": "b", "Cache-Control": "no-store"},
                content_type="text/event-stream",
            )
            response.set_cookie("seen", "yes")
            return response

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 206
        assert stream.headers["X-A"] == "b"
        assert stream.headers["Cache-Control"] == "no-store"
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.cookies["seen"].value == "yes"


async def test_one_task_and_one_context_run_the_whole_source(visit):
    variable = ContextVar("variable", default=0)
    tasks = []

    class View(AsyncSSEAPIView):
        async def get(self, request):
            tasks.append(asyncio.current_task())
            try:
                async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(0))
                    for _ in range(3):
                        variable.set(variable.get() + 1)
                        yield variable.get()
                        await asyncio.sleep(0)
            finally:
                tasks.append(asyncio.current_task())

    async with visit(View.as_view()) as stream:
        assert await stream.body() == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    assert tasks[0] is tasks[1] is not None


# Errors before the first event


async def no_such_thing():
    raise NotFound("No such thing.")
    yield


async def missing():
    raise Http404
    yield


async def forbidden():
    raise PermissionDenied
    yield


async def invalid():
    raise ValidationError({"limit": ["Too high."]})
    yield


async def throttled():
    raise Throttled(wait=7)
    yield


async def grouped():
    async with asyncio.TaskGroup() as group:
        group.create_task(anext(no_such_thing()))
    yield


@asynccontextmanager
async def managed():
    raise NotFound("No such thing.")
    yield


def synchronous():
    raise NotFound("No such thing.")
    yield


ERRORS = [
    (no_such_thing, 404, {"detail": "No such thing."}, {}),
    (missing, 404, {"detail": "Not found."}, {}),
    (forbidden, 403, {"detail": "You do not have permission to perform this action."}, {}),
    (invalid, 400, {"limit": ["Too high."]}, {}),
    (
        throttled,
        429,
        {"detail": "Request was throttled. Expected available in 7 seconds."},
        {"Retry-After": "7"},
    ),
    (grouped, 404, {"detail": "No such thing."}, {}),
    (managed, 404, {"detail": "No such thing."}, {}),
    (synchronous, 404, {"detail": "No such thing."}, {}),
]


@pytest.mark.parametrize(
    ("source", "status", "body", "headers"), ERRORS, ids=lambda value: getattr(value, "__name__", "")
)
async def test_an_error_before_the_first_event_is_an_http_error(visit, source, status, body, headers):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source()

    async with visit(View.as_view(), headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == status
        assert stream.headers["Content-Type"] == "application/json"
        assert headers.items() <= dict(stream.headers).items()
        assert await stream.json() == body


async def test_the_views_exception_handler_handles_errors_before_the_first_event(visit):
    class Odd(Exception):
        pass

    class View(AsyncSSEAPIView):
        async def get(self, request):
            raise Odd("secret")
            yield

        def handle_exception(self, exc):
            assert isinstance(exc, Odd)
            response = Response({"handled": True}, status=418)
            response.exception = True
            return response

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 418
        assert await stream.json() == {"handled": True}


async def test_an_unexpected_error_before_the_first_event_is_a_500(visit, settings):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield object()

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 500
        assert b"object" not in await stream.body()


# Errors after the first event


class Reported:
    """Record the errors sent to the log and to ``got_request_exception``."""

    def __init__(self, caplog):
        self.caplog = caplog
        self.requests = []

    def receive(self, sender, request, **kwargs):
        self.requests.append(request)

    @property
    def logged(self):
        return [record.exc_info[1] for record in self.caplog.records if record.name == "adrf_sse"]


@pytest.fixture
def reported(caplog):
    reported = Reported(caplog)
    got_request_exception.connect(reported.receive)
    with caplog.at_level(logging.ERROR, "adrf_sse"):
        yield reported
    got_request_exception.disconnect(reported.receive)


LATER = [
    (ValueError("secret"), {"detail": "A server error occurred.", "code": "error"}),
    (NotFound("Gone."), {"detail": "Gone.", "code": "not_found"}),
    (Http404("secret"), {"detail": "Not found.", "code": "not_found"}),
    (
        PermissionDenied("secret"),
        {"detail": "You do not have permission to perform this action.", "code": "permission_denied"},
    ),
    (ValidationError({"a": ["b"]}, code="c"), {"detail": {"a": ["b"]}, "code": {"a": ["c"]}}),
    (ExceptionGroup("secret", [NotFound("Gone.")]), {"detail": "Gone.", "code": "not_found"}),
]


@pytest.mark.parametrize(("error", "data"), LATER, ids=lambda value: repr(value)[:40])
async def test_an_error_after_an_event_becomes_an_error_event_without_internal_details(visit, error, data):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "before"
            yield "too"
            raise error

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 200
        assert await stream.take(2) == [received("before"), received("too")]
        failure = await stream.next()
        assert failure.event == "error"
        assert json.loads(failure.data) == data
        assert await stream.next_chunk() is None
        assert b"secret" not in b"".join(stream.chunks)


def received(data, **fields):
    return ServerSentEvent.received(data, event=fields.get("event"), id=fields.get("id"))


async def test_an_event_that_can_not_be_encoded_ends_the_stream_after_earlier_events(visit, reported):
    source = Recorder("a", object(), "never")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run()

    async with visit(View.as_view()) as stream:
        assert await stream.next() == received("a")
        assert (await stream.next()).event == "error"
        assert await stream.next_chunk() is None
    assert source.closed
    assert isinstance(reported.logged[0], TypeError)


async def test_an_error_in_finally_is_reported(visit, reported):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            try:
                yield "a"
            finally:
                raise ValueError("secret")

    async with visit(View.as_view()) as stream:
        assert await stream.next() == received("a")
        assert (await stream.next()).event == "error"
    assert len(reported.logged) == 1


async def test_an_error_in_finally_after_the_client_disconnected_is_logged(visit, reported):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            try:
                yield "a"
                await asyncio.Event().wait()
            finally:
                raise ValueError("secret")

    async with visit(View.as_view()) as stream:
        assert await stream.next() == received("a")
    [error] = reported.logged
    assert str(error) == "secret"


async def test_the_error_event_has_the_name_of_the_views_error_event(visit, reported):
    class View(AsyncSSEAPIView):
        error_event = "failure"

        async def get(self, request):
            yield "a"
            raise ValueError

    async with visit(View.as_view()) as stream:
        assert [event.event for event in await stream.take(2)] == [None, "failure"]


async def test_a_source_that_cancels_its_own_task_ends_with_an_error_event(visit, caplog):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"
            asyncio.current_task().cancel()
            await asyncio.Event().wait()

    async with visit(View.as_view()) as stream:
        assert [event.event for event in await stream.take(2)] == [None, "error"]
    assert "cancelled its own task" in caplog.text


# Options


async def test_headers_are_sent_after_first_event_timeout_if_the_source_yields_nothing(visit):
    source = Recorder()

    class View(AsyncSSEAPIView):
        first_event_timeout = 0.01

        async def get(self, request):
            return source.run_for_ever()

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 200
        assert source.started
        assert not source.closed
    assert source.closed


async def test_with_first_event_timeout_zero_an_early_error_becomes_an_event(visit, reported):
    class View(AsyncSSEAPIView):
        first_event_timeout = 0

        async def get(self, request):
            raise NotFound
            yield

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 200
        assert (await stream.next()).event == "error"


async def test_an_empty_source_is_an_empty_200_response(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            return
            yield

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 200
        assert await stream.body() == b""


async def test_heartbeats_are_sent_while_the_source_is_idle(visit):
    class View(AsyncSSEAPIView):
        heartbeat = 0.01
        first_event_timeout = 0

        async def get(self, request):
            await asyncio.Event().wait()
            yield

    async with visit(View.as_view()) as stream:
        assert [await stream.next_chunk() for _ in range(3)] == [b":\n"] * 3


async def test_retry_is_sent_first(visit):
    class View(AsyncSSEAPIView):
        retry = 1234

        async def get(self, request):
            yield "a"

    async with visit(View.as_view()) as stream:
        assert await stream.body() == b"retry: 1234\ndata: a\n\n"
        assert stream.headers["Content-Type"].startswith("text/event-stream")


async def test_class_attributes_override_the_settings(visit, settings):
    settings.ADRF_SSE = {"RETRY": 7}

    class Defaults(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"

    class Own(Defaults):
        retry = None

    assert (Defaults.retry, Own.retry) == (7, None)
    async with visit(Defaults.as_view()) as stream:
        assert await stream.body() == b"retry: 7\ndata: a\n\n"
    async with visit(Own.as_view()) as stream:
        assert await stream.body() == b"data: a\n\n"
    async with visit(Own.as_view(retry=9)) as stream:
        assert await stream.body() == b"retry: 9\ndata: a\n\n"


def test_an_invalid_class_attribute_is_refused_when_the_class_is_created():
    with pytest.raises(ValueError, match=r"^heartbeat must be more than 0 seconds, got -1\."):

        class View(AsyncSSEAPIView):
            heartbeat = -1


# Finite streams


class Finite(AsyncSSEAPIView):
    finite = True

    async def get(self, request):
        yield "a", 1, 1


async def test_a_finite_stream_ends_with_the_end_id(visit):
    async with visit(Finite.as_view()) as stream:
        assert await stream.body() == b"id: 1\nevent: a\ndata: 1\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"


@pytest.mark.parametrize(
    "request_",
    [{"headers": {"Last-Event-ID": "adrf-sse-end"}}, {"url": "/?last_event_id=adrf-sse-end"}],
    ids=["header", "query"],
)
async def test_a_client_that_reconnects_after_the_end_gets_204(visit, request_):
    async with visit(Finite.as_view(), **request_) as stream:
        assert stream.status_code == 204
        assert await stream.body() == b""


async def test_the_end_of_a_finite_stream_that_failed_is_its_error_event(visit, reported):
    class View(AsyncSSEAPIView):
        finite = True

        async def get(self, request):
            yield "a"
            raise ValueError

        post = get

    error = b'event: error\ndata: {"detail":"A server error occurred.","code":"error"}\n\n'
    async with visit(View.as_view()) as stream:
        assert await stream.body() == b"data: a\n\nid: adrf-sse-end\n" + error
    async with visit(View.as_view(), method="post") as stream:
        assert await stream.body() == b"data: a\n\n" + error


# Methods and negotiation


class Endless(AsyncSSEAPIView):
    source = Recorder()

    async def get(self, request):
        async for item in self.source.run_for_ever():
            yield item


async def test_a_head_request_has_the_headers_of_get_and_does_not_start_the_source(visit):
    async with visit(Endless.as_view(), method="head") as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert await stream.body() == b""
    assert not Endless.source.started


async def test_an_options_request_returns_the_metadata_as_json(visit):
    async with visit(Endless.as_view(), method="options", headers={"Accept": "text/event-stream"}) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (200, "application/json")
        assert (await stream.json())["renders"] == ["text/event-stream"]


async def test_a_method_without_a_handler_is_a_405_response_in_json(visit):
    async with visit(Endless.as_view(), method="post") as stream:
        assert stream.status_code == 405
        assert await stream.json() == {"detail": 'Method "POST" not allowed.'}


async def test_a_request_that_no_renderer_matches_is_a_406_response_in_json(visit):
    view = type("View", (Finite,), {"renderer_classes": [EventStreamRenderer, Text]})
    async with visit(view.as_view(), headers={"Accept": "application/json"}) as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (406, "application/json")
        assert await stream.json() == {"detail": "Could not satisfy the request Accept header."}


class Text(BaseRenderer):
    media_type = "text/plain"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return str(data["detail"])


async def test_a_stream_is_a_406_response_if_the_chosen_renderer_can_not_stream(visit):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        renderer_classes = [EventStreamRenderer, Text]

        async def get(self, request):
            return source.run()

    async with visit(View.as_view(), headers={"Accept": "text/plain"}) as stream:
        assert stream.status_code == 406
        detail = b"This endpoint is a stream. Ask for it with the header Accept: text/event-stream."
        assert await stream.body() == detail
    assert not source.started
    async with visit(View.as_view(), headers={"Accept": "text/event-stream"}) as stream:
        assert await stream.body() == b"data: a\n\n"


@pytest.mark.parametrize(
    ("request_", "last_event_id"),
    [
        ({"headers": {"Last-Event-ID": "5"}}, "5"),
        ({"url": "/?last_event_id=6"}, "6"),
        ({"headers": {"Last-Event-ID": "5"}, "url": "/?last_event_id=6"}, "5"),
        ({"headers": {"Last-Event-ID": "é".encode().decode("latin-1")}}, "é"),
        ({"headers": {"Last-Event-ID": "\xe9"}}, "\xe9"),
        ({"headers": {"Last-Event-ID": ""}}, None),
        ({"url": "/?last_event_id="}, None),
        ({}, None),
        ({"headers": {"Last-Event-ID": "x" * 1024}}, "x" * 1024),
        ({"headers": {"Last-Event-ID": "x" * 1025}}, None),
        ({"headers": {"Last-Event-ID": ("é" * 513).encode().decode("latin-1")}}, None),
        ({"url": f"/?last_event_id={'x' * 1024}"}, "x" * 1024),
        ({"url": f"/?last_event_id={'x' * 1025}"}, None),
        ({"headers": {"Last-Event-ID": "x" * 1025}, "url": "/?last_event_id=6"}, None),
    ],
)
async def test_last_event_id_is_read_from_the_header_or_else_the_query_parameter(visit, request_, last_event_id):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield [self.last_event_id]

    async with visit(View.as_view(), **request_) as stream:
        assert json.loads((await stream.next()).data) == [last_event_id]


@pytest.mark.django_db(transaction=True)
async def test_authentication_permissions_and_versioning_run_before_the_source(visit, django_user_model):
    source = Recorder("hello")

    class View(AsyncSSEAPIView):
        permission_classes = [IsAuthenticated]
        versioning_class = QueryParameterVersioning

        async def get(self, request):
            assert request.version == "2"
            async for item in source.run():
                yield f"{item} {request.user}"

    async with visit(View.as_view(), url="/?version=2") as stream:
        assert (stream.status_code, stream.headers["Content-Type"]) == (403, "application/json")
        assert await stream.json() == {"detail": "Authentication credentials were not provided."}
    assert not source.started
    alice = await django_user_model.objects.acreate(username="alice")
    middleware = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )
    async with visit(View.as_view(), url="/?version=2", user=alice, middleware=middleware) as stream:
        assert await stream.body() == b"data: hello alice\n\n"


async def test_the_stream_of_a_post_request_can_use_its_body(visit):
    class View(AsyncSSEAPIView):
        async def post(self, request):
            for word in request.data["words"]:
                yield word

    async with visit(
        View.as_view(), method="post", data={"words": ["a", "b"]}, content_type="application/json"
    ) as stream:
        assert await stream.body() == b"data: a\n\ndata: b\n\n"


def test_only_the_mixin_makes_a_synchronous_viewset_asynchronous():
    """Django decides by the handlers whether a view is asynchronous, and the mixin must not affect other views."""

    class Sync(ViewSet):
        def list(self, request):
            return Response([])

    class Stock(APIView):
        async def get(self, request):
            return Response([])

    assert not Sync.view_is_async
    assert Stock.view_is_async
    assert type("Streams", (EventStreamMixin, Sync), {}).view_is_async


async def test_orm_calls_work_in_sources_of_every_kind(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield await sync_to_async(lambda: "called")()

    async with visit(View.as_view()) as stream:
        assert await stream.body() == b"data: called\n\n"
