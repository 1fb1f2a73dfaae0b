import json

import pytest
from adrf.views import APIView
from django.http import Http404
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.renderers import EventStreamRenderer
from tests.project.views import VIEWS
from tests.support.sources import Recorder

RENDERER_ONLY = ["renderer-only", "renderer-only-sync", "renderer-only-viewset"]
BODY = b"data: one\n\ndata: two\n\ndata: three\n\n"
SSE = {"Accept": "text/event-stream"}


class Words:
    renderer_classes = [EventStreamRenderer]


@pytest.mark.parametrize("kind", ["async", "sync", "task-group", "anyio"])
@pytest.mark.parametrize("name", RENDERER_ONLY)
async def test_a_stock_view_streams_with_only_renderer_classes_changed(visit, name, kind):
    def view(request):
        return VIEWS[name](request, kind=kind)

    async def async_view(request):
        return await VIEWS[name](request, kind=kind)

    async with visit(view if name == "renderer-only-sync" else async_view) as stream:
        assert stream.status_code == 201
        assert stream.headers["X-Kind"] == kind
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert "Content-Length" not in stream.headers
        assert await stream.body() == BODY


@pytest.mark.parametrize("base", [APIView, SyncAPIView])
async def test_the_client_receives_the_cookies_and_headers_of_a_stock_view(visit, base):
    def answer():
        response = Response(Recorder("a").run(), headers={"X-Accel-Buffering": "yes"}, content_type="text/x")
        response.set_cookie("seen", "yes", httponly=True)
        return response

    class Async(Words, APIView):
        async def get(self, request):
            return answer()

    class Sync(Words, SyncAPIView):
        def get(self, request):
            return answer()

    async with visit((Async if base is APIView else Sync).as_view()) as stream:
        assert stream.headers["X-Accel-Buffering"] == "yes"
        assert stream.headers["Content-Type"] == "text/x"
        assert stream.cookies["seen"]["httponly"]
        assert await stream.body() == b"data: a\n\n"


class Refusing(Words, APIView):
    errors = (Http404, ValidationError({"limit": ["Too high."]}))

    async def get(self, request):
        return Response({"error": "busy"}, status=409)

    async def post(self, request):
        raise ValidationError({"limit": ["Too high."]})

    async def put(self, request):
        raise Http404

    async def patch(self, request):
        return Response(None)

    async def delete(self, request):
        return Response(status=204)


@pytest.mark.parametrize(
    ("method", "status", "body"),
    [
        ("get", 409, b'{"error":"busy"}'),
        ("post", 400, b'{"limit":["Too high."]}'),
        ("put", 404, b'{"detail":"Not found."}'),
        ("patch", 200, b""),
        ("delete", 204, b""),
    ],
)
async def test_a_response_without_a_stream_stays_json_with_its_status(visit, method, status, body):
    async with visit(Refusing.as_view(), method=method, headers=SSE) as stream:
        assert stream.status_code == status
        assert await stream.body() == body
        assert stream.headers.get("Content-Type") == ("application/json" if body else None)


async def test_a_head_request_does_not_start_the_source_of_a_stock_view(visit):
    source = Recorder("a")

    class View(Words, APIView):
        async def get(self, request):
            return Response(source.run_for_ever(), status=201)

    async with visit(View.as_view(), method="head") as stream:
        assert stream.status_code == 201
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await stream.body() == b""
    assert not source.started


async def test_an_error_in_the_source_of_a_stock_view_becomes_an_error_event(visit):
    async def source():
        raise ValueError("secret")
        yield

    class View(Words, APIView):
        async def get(self, request):
            return Response(source())

    async with visit(View.as_view()) as stream:
        failure = await stream.next()
        assert (failure.event, json.loads(failure.data)["code"]) == ("error", "error")


async def test_beyond_max_sync_streams_a_stock_view_responds_with_503(visit, settings):
    settings.ADRF_SSE = {"MAX_SYNC_STREAMS": 1}

    class View(Words, APIView):
        async def get(self, request):
            return Response(Recorder("a").run_in_thread())

    kept = EventStreamRenderer().event_stream(iter(["a"]))
    async with visit(View.as_view()) as stream:
        assert (stream.status_code, stream.headers["Retry-After"]) == (503, "5")
        assert await stream.json() == {"detail": "Too many streams are open. Try again later."}
    kept.close()


class CamelCase(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        if isinstance(data, dict):
            head, *tail = next(iter(data)).split("_")
            data = {head + "".join(map(str.title, tail)): next(iter(data.values()))}
        return super().render(data, accepted_media_type, renderer_context)


class Text(BaseRenderer):
    media_type = "application/vnd.x+json"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return json.dumps(data)


@pytest.mark.parametrize(
    ("data_renderer", "frame", "body", "content_type"),
    [
        (CamelCase, b'data: {"eventName":1}\n\n', b'{"eventName":1}', "application/json"),
        (Text, b'data: {"event_name": 1}\n\n', b'{"event_name": 1}', "application/vnd.x+json; charset=utf-8"),
    ],
)
async def test_data_renderer_class_encodes_events_and_other_responses(visit, data_renderer, frame, body, content_type):
    class Renderer(EventStreamRenderer):
        data_renderer_class = data_renderer

    class View(APIView):
        renderer_classes = [Renderer]

        async def get(self, request):
            return Response(Recorder({"event_name": 1}).run())

        async def post(self, request):
            return Response({"event_name": 1})

    async with visit(View.as_view()) as stream:
        assert await stream.body() == frame
    async with visit(View.as_view(), method="post") as stream:
        assert await stream.body() == body
        assert stream.headers["Content-Type"] == content_type


class Several(APIView):
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    async def get(self, request):
        return Response(Recorder("a").run())


async def test_negotiation_chooses_among_renderers(visit):
    async with visit(Several.as_view(), headers=SSE) as stream:
        assert await stream.body() == b"data: a\n\n"
        assert stream.headers["Vary"] == "Accept"
    async with visit(Several.as_view(), url="/?format=sse") as stream:
        assert await stream.body() == b"data: a\n\n"
    async with visit(Several.as_view(), headers={"Accept": "text/plain"}) as stream:
        assert stream.status_code == 406
        assert await stream.json() == {"detail": "Could not satisfy the request Accept header."}


async def test_the_page_of_another_renderer_does_not_start_the_source(visit):
    source = Recorder("a")

    class View(APIView):
        renderer_classes = [EventStreamRenderer, BrowsableAPIRenderer]
        authentication_classes = []

        async def get(self, request):
            return Response(source.run_for_ever())

    async with visit(View.as_view(), headers={"Accept": "text/html"}) as stream:
        assert b"Ask for it with Accept: text/event-stream." in await stream.body()
    assert not source.started


def test_the_renderer_encodes_json_without_a_response():
    assert EventStreamRenderer().render({"a": 1}) == b'{"a":1}'
