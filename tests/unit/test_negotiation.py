"""Tests of ``wants_stream()``, and of ``Accept``."""

import json

import pytest
from adrf.viewsets import ViewSet
from django.contrib.auth.models import User
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer, JSONLinesRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin

STREAM = (200, "text/event-stream; charset=utf-8", b"data: word\n\n")
LINES = (200, "application/jsonl", b'{"data":"word"}\n')
LIST = (200, "application/json", b'[{"data":"word"}]')
JSON = {"Accept": "application/json"}


class Words(AsyncSSEAPIView):
    renderer_classes = [JSONRenderer, EventStreamRenderer, JSONLinesRenderer]

    async def get(self, request):
        yield "word"

    async def post(self, request):
        yield "word"


class ByBody(Words):
    def wants_stream(self, request):
        return request.data.get("stream")


async def answer(visit, view, **request):
    async with visit(view.as_view(), **request) as stream:
        return stream.status_code, stream.headers["Content-Type"], await stream.body()


@pytest.mark.parametrize(
    ("wanted", "accept", "expected"),
    [
        (True, "application/json", STREAM),
        (True, "application/json, text/event-stream", STREAM),
        (True, "text/event-stream", STREAM),
        (True, "application/jsonl", LINES),
        (True, "application/jsonl, application/json", LINES),
        (True, "image/png", STREAM),
        (True, "*/*", STREAM),
        (False, "text/event-stream", LIST),
        (False, "application/json, text/event-stream", LIST),
        (False, "image/png", LIST),
        (None, "text/event-stream", STREAM),
        (None, "application/jsonl", LINES),
        (None, "application/json, text/event-stream", LIST),
        (None, "application/json", LIST),
        (None, "*/*", LIST),
    ],
)
async def test_the_body_of_a_request_decides_whether_it_is_answered_by_a_stream(visit, wanted, accept, expected):
    body = {} if wanted is None else {"stream": wanted}
    assert await answer(visit, ByBody, method="post", data=body, format="json", headers={"Accept": accept}) == expected


ONLY_STREAMS = [[EventStreamRenderer], [EventStreamRenderer, JSONLinesRenderer]]
WITH_CONSOLE = [EventStreamRenderer, EventStreamConsoleRenderer]


@pytest.mark.parametrize(
    ("renderers", "accept"),
    [
        *[(each, "application/json") for each in (*ONLY_STREAMS, WITH_CONSOLE)],
        *[(each, "text/html") for each in ONLY_STREAMS],
        *[(each, "application/json, text/*;q=0") for each in ONLY_STREAMS],
    ],
)
async def test_a_view_that_can_only_stream_disregards_accept(visit, renderers, accept):
    view = type("View", (Words,), {"renderer_classes": renderers})
    assert await answer(visit, view, headers={"Accept": accept}) == STREAM


async def test_a_view_with_another_form_answers_406_if_no_renderer_matches(visit):
    for headers in ({"Accept": "image/png"}, {"Accept": "text/html"}):
        status, content_type, body = await answer(visit, Words, headers=headers)
        assert (status, content_type) == (406, "application/json")
        assert json.loads(body) == {"detail": "Could not satisfy the request Accept header."}


async def test_a_format_in_the_url_that_no_renderer_has_is_a_404(visit):
    status, _, _ = await answer(visit, type("View", (Words,), {"renderer_classes": [EventStreamRenderer]}),
                                url="/?format=xml")  # fmt: skip
    assert status == 404


async def test_a_list_is_rendered_by_the_data_renderer_of_a_view_that_can_only_stream(visit):
    class Indented(JSONRenderer):
        def get_indent(self, accepted_media_type, renderer_context):
            return 1

    class View(ByBody):
        renderer_classes = [type("Renderer", (EventStreamRenderer,), {"data_renderer_class": Indented})]

    request = {"method": "post", "data": {"stream": False}, "format": "json"}
    assert await answer(visit, View, **request) == (200, "application/json", b'[\n {\n  "data": "word"\n }\n]')


async def test_a_view_without_a_streaming_renderer_streams_if_that_is_wanted(visit):
    class View(EventStreamMixin, ViewSet):
        renderer_classes = [JSONRenderer]

        async def create(self, request):
            return Response({"a": 1}) if request.data.get("plain") else words()

        def wants_stream(self, request):
            return True

    async def words():
        yield "word"

    request = {"method": "post", "format": "json", "headers": JSON}
    view = type("View", (View,), {"as_view": classmethod(lambda cls: View.as_view({"post": "create"}))})
    assert await answer(visit, view, **request) == STREAM
    assert await answer(visit, view, data={"plain": True}, **request) == (200, "application/json", b'{"a":1}')


async def test_wants_stream_is_asked_after_permissions_and_not_for_the_methods_of_the_view(visit):
    class View(ByBody):
        permission_classes = [IsAuthenticated]

        def wants_stream(self, request):
            raise AssertionError

    async with visit(View.as_view(), method="post", headers={"Accept": "image/png"}) as stream:
        assert stream.status_code == 403
    view = type("View", (View,), {"permission_classes": []})
    async with visit(view.as_view(), method="options", headers=JSON) as stream:
        assert stream.status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_wants_stream_can_use_the_orm_or_be_a_coroutine_function(visit):
    class Sync(Words):
        def wants_stream(self, request):
            return not User.objects.exists()

    class Async(Words):
        async def wants_stream(self, request):
            return not await User.objects.aexists()

    for view in (Sync, Async):
        assert await answer(visit, view, headers=JSON) == STREAM


@pytest.mark.parametrize("error", [NotFound("No such model."), PermissionDenied("Not you.")])
async def test_an_api_exception_of_wants_stream_is_the_response(visit, error):
    class View(Words):
        def wants_stream(self, request):
            raise error

    status, content_type, body = await answer(visit, View, headers=JSON)
    assert (status, content_type, json.loads(body)) == (
        error.status_code,
        "application/json",
        {"detail": str(error.detail)},
    )


@pytest.mark.parametrize("answered", ["yes", 1, 0, "", []])
async def test_an_answer_of_wants_stream_that_is_no_bool_is_an_error(visit, answered, caplog):
    view = type("View", (Words,), {"wants_stream": lambda self, request: answered})
    async with visit(view.as_view()) as stream:
        assert stream.status_code == 500
    assert str(caplog.records[-1].exc_info[1]) == (
        f"wants_stream() of View must return True, False or None, got {answered!r}. "
        "Convert it with bool(), or compare it: request.data.get('stream') is True."
    )


async def test_the_page_of_the_console_stays_reachable(visit):
    renderers = [EventStreamRenderer, EventStreamConsoleRenderer, JSONRenderer]
    for wanted in (True, False):
        members = {"renderer_classes": renderers, "wants_stream": lambda self, request, wanted=wanted: wanted}
        view = type("View", (Words,), members)
        _, content_type, _ = await answer(visit, view, headers={"Accept": "text/html,*/*;q=0.8"})
        assert content_type == "text/html; charset=utf-8"


async def test_a_function_decides_by_the_body_of_the_request(visit):
    @event_stream(methods=["POST"], wants_stream=lambda request: request.data["stream"])
    async def view(request):
        yield "word"

    for wanted, expected in ((True, STREAM), (False, LIST)):
        async with visit(view, method="post", data={"stream": wanted}, format="json", headers=JSON) as stream:
            assert (stream.status_code, stream.headers["Content-Type"], await stream.body()) == expected


async def test_an_error_before_the_first_event_is_json_if_a_stream_was_wanted(visit):
    class View(ByBody):
        async def post(self, request):
            raise NotFound
            yield

    request = {"method": "post", "data": {"stream": True}, "format": "json", "headers": JSON}
    assert await answer(visit, View, **request) == (404, "application/json", b'{"detail":"Not found."}')


async def test_a_head_request_has_the_headers_of_the_wanted_form(visit):
    class View(Words):
        def wants_stream(self, request):
            return True

    assert await answer(visit, View, method="head", headers=JSON) == (*STREAM[:2], b"")


def test_hooks_that_are_no_functions_are_refused():
    with pytest.raises(TypeError, match=r"wants_stream must be a method, got True\. Write def wants_stream"):
        type("View", (AsyncSSEAPIView,), {"wants_stream": True})
    with pytest.raises(TypeError, match=r"wants_stream must be a function, got True\. Pass the function itself\."):
        event_stream(wants_stream=True)
