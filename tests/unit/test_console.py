"""Tests of the console without a browser."""

import gc
import re
from contextlib import asynccontextmanager

import pytest
from adrf.views import APIView
from adrf.viewsets import ViewSet
from django.urls import path
from rest_framework.decorators import permission_classes, renderer_classes
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.urlpatterns import format_suffix_patterns
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.project.console_views import Ask, Chat
from tests.support.sources import Recorder

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SSE = {"Accept": "text/event-stream"}
CACHE = "django.core.cache.backends.locmem.LocMemCache"
CACHING = "django.middleware.cache"
RENDERERS = [EventStreamRenderer, EventStreamConsoleRenderer]


@pytest.fixture(autouse=True)
def _static(settings):
    settings.STATIC_URL = "/static/"


@asynccontextmanager
async def managed(recorder):
    recorder.started = True
    yield recorder.run()


async def awaited(recorder):
    recorder.started = True
    return recorder.run()


SOURCES = {
    "async": Recorder.run,
    "sync": Recorder.run_in_thread,
    "manager": managed,
    "awaitable": awaited,
}


def stock_view(make):
    class Stock(APIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            return Response(make())

    return Stock.as_view()


def stock_viewset(make):
    class StockSet(ViewSet):
        renderer_classes = RENDERERS

        async def list(self, request):
            return Response(make())

    return StockSet.as_view({"get": "list"})


def stock_sync_view(make):
    class StockSync(SyncAPIView):
        renderer_classes = RENDERERS

        def get(self, request):
            return Response(make())

    return StockSync.as_view()


def mixin_view(make):
    class Mixed(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            return Response(make())

    return Mixed.as_view()


def mixin_viewset(make):
    class MixedSet(EventStreamMixin, ViewSet):
        renderer_classes = RENDERERS

        def list(self, request):
            return Response(make())

    return MixedSet.as_view({"get": "list"})


def function_view(make):
    @event_stream
    @renderer_classes(RENDERERS)
    async def function(request):
        return Response(make())

    return function


VIEWS = [stock_view, stock_viewset, stock_sync_view, mixin_view, mixin_viewset, function_view]


async def read(stream):
    return (await stream.body()).decode()


# Negotiation


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("view", VIEWS)
async def test_a_browser_gets_the_page_and_the_source_is_not_started(visit, view, source):
    recorder = Recorder("one")
    async with visit(view(lambda: SOURCES[source](recorder)), headers=HTML) as page:
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        html = await read(page)
    gc.collect()  # a coroutine or generator that was never started would warn here
    assert not recorder.started
    assert html.count("data-sse-console") == 1
    assert "&quot;one&quot;" not in html


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
@pytest.mark.parametrize("view", VIEWS)
async def test_other_clients_get_the_stream(visit, view, accept):
    async with visit(view(Recorder("one").run), headers={"Accept": accept}) as stream:
        assert await stream.body() == b"data: one\n\n"
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("view", VIEWS)
async def test_a_head_request_gets_the_headers_of_the_page(visit, view):
    recorder = Recorder("one")
    async with visit(view(recorder.run), method="head", headers=HTML) as page:
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not recorder.started


@pytest.mark.parametrize("view", VIEWS)
async def test_an_options_request_shows_the_metadata_of_rest_framework(visit, view):
    async with visit(view(Recorder("one").run), method="options", headers=HTML) as page:
        html = await read(page)
    assert page.status_code == 200
    assert "&quot;renders&quot;" in html
    assert "sse-in-place-of-response" not in html


async def test_a_generator_handler_does_not_run_for_the_page(visit):
    class View(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            ran.append(request.accepted_renderer.format)
            yield "one"

    ran = []
    async with visit(View.as_view(), headers=HTML) as page:
        assert "data-sse-console" in await read(page)
    assert ran == []
    async with visit(View.as_view(), headers=SSE) as stream:
        await stream.body()
    assert ran == ["sse"]


async def test_the_page_of_a_stream_hides_the_response(visit):
    async with visit(mixin_view(Recorder("one").run), headers=HTML) as page:
        html = await read(page)
    assert 'class="sse-place sse-in-place-of-response"' in html  # the style sheet hides REST framework's response
    response = html[html.index('<div class="response-info"') :]
    assert re.search(r"</span>\s*</pre>", response)


# Content of the page


@pytest.mark.parametrize("error", [NotFound("No such price."), ValidationError({"symbol": ["Unknown."]})])
async def test_the_page_shows_an_error_beside_the_panel(visit, error):
    class View(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            raise error

    async with visit(View.as_view(), headers=HTML) as page:
        html = await read(page)
    assert page.status_code == error.status_code
    assert f"HTTP {error.status_code}" in html
    assert ("No such price." in html) or ("Unknown." in html)
    assert "application/json" in html
    assert "text/event-stream ;" not in html
    assert "data-sse-console" in html
    assert "sse-in-place-of-response" not in html


@pytest.mark.parametrize("headers", [HTML, SSE])
async def test_permissions_are_checked_for_the_page_and_for_the_stream(visit, headers):
    @event_stream
    @renderer_classes(RENDERERS)
    @permission_classes([IsAuthenticated])
    async def function(request):
        yield "one"

    async with visit(function, headers=headers) as answer:
        body = await read(answer)
    assert answer.status_code == 403
    assert "Authentication credentials were not provided." in body


async def test_data_is_shown_as_in_the_browsable_api(visit):
    class View(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def get(self, request):
            return Response({"plain": "data"})

    async with visit(View.as_view(), headers=HTML) as page:
        html = await read(page)
    assert "    &quot;plain&quot;: &quot;data&quot;" in html


async def test_the_page_of_a_post_stream_has_the_forms_of_rest_framework(visit):
    async with visit(Ask.as_view(), headers=HTML) as page:
        html = await read(page)
    assert page.status_code == 405
    assert 'data-methods="POST OPTIONS"' in html
    for name in ("text", "times", "_content"):
        assert f'name="{name}"' in html


async def test_the_page_for_a_post_request_does_not_start_the_source(visit):
    recorder = Recorder("one")

    class View(AsyncSSEAPIView):
        renderer_classes = RENDERERS

        async def post(self, request):
            return recorder.run()

    async with visit(View.as_view(), method="post", headers=HTML) as page:
        assert "data-sse-console" in await read(page)
    assert not recorder.started


async def test_a_response_without_a_stream_keeps_its_status(visit):
    async with visit(Chat.as_view(), method="post", data={"a": "b"}, headers=HTML) as page:
        html = await read(page)
    assert page.status_code == 201
    assert "HTTP 201 Created" in html


@pytest.mark.parametrize(
    ("requested", "streamed"),
    [
        ("/?a=1&b=%3Cb%3E", "/?a=1&amp;b=%3Cb%3E"),
        ("/?format=api", "/"),
        ("/?format=api&a=1", "/?a=1"),
    ],
)
async def test_the_panel_requests_the_same_url_without_the_format_parameter(visit, requested, streamed):
    async with visit(mixin_view(Recorder("one").run), url=requested, headers=HTML) as page:
        assert f'data-url="{streamed}"' in await read(page)


@pytest.mark.parametrize(
    ("requested", "streamed"), [("/one.api", "/one.sse"), ("/one.api?a=.api/", "/one.sse?a=.api/"), ("/one", "/one")]
)
def test_the_panel_requests_the_format_suffix_of_streams(settings, requested, streamed):
    class View(SyncAPIView):
        renderer_classes = RENDERERS

        def get(self, request, format=None):
            return Response(iter(["one"]))

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": format_suffix_patterns([path("one", View.as_view())])})
    client = APIClient()
    assert f'data-url="{streamed}"' in client.get(requested, HTTP_ACCEPT="text/html").content.decode()
    stream = client.get(streamed, HTTP_ACCEPT="text/event-stream")
    assert b"".join(stream.streaming_content) == b"data: one\n\n"


async def test_the_url_is_escaped_in_the_page(visit):
    url = '/?a="><script>alert(1)</script>'
    async with visit(mixin_view(Recorder("one").run), url=url, headers=HTML) as page:
        assert "<script>alert" not in await read(page)


@pytest.mark.parametrize("view", [stock_view, stock_sync_view, mixin_view])
async def test_a_cached_page_is_not_served_for_the_stream(visit, settings, view):
    settings.CACHES = {"default": {"BACKEND": CACHE, "LOCATION": f"{view.__name__}"}}
    made = []

    def make():
        made.append("source")
        return Recorder("one").run()

    options = {"middleware": (f"{CACHING}.UpdateCacheMiddleware", f"{CACHING}.FetchFromCacheMiddleware")}
    for _ in range(2):
        async with visit(view(make), headers=HTML, **options) as page:
            assert "data-sse-console" in await read(page)
    assert made == ["source"]
    async with visit(view(make), headers=SSE, **options) as stream:
        assert await stream.body() == b"data: one\n\n"


async def test_the_page_has_no_inline_scripts_or_styles(visit):
    for view in (mixin_view(Recorder("one").run), Ask.as_view(), Chat.as_view()):
        async with visit(view, headers=HTML) as page:
            html = await read(page)
        scripts = re.findall(r"<script\b([^>]*)>", html)
        assert scripts
        assert all("src=" in script or 'type="application/json"' in script for script in scripts)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
