import django
import pytest
from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.generic import View

from adrf_sse.responses import EventStreamResponse
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

GZIP = ("django.middleware.gzip.GZipMiddleware",)
SECURITY = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)


def test_the_response_has_exactly_these_headers():
    response = EventStreamResponse(Recorder().run())
    assert dict(response.items()) == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    assert response.streaming


def test_headers_set_by_the_view_override_the_defaults():
    response = EventStreamResponse(
        Recorder().run(), status=201, headers={"cache-control": "private", "content-type": "text/x", "X-A": "b"}
    )
    assert response.status_code == 201
    assert dict(response.items()) == {
        "cache-control": "private",
        "content-type": "text/x",
        "X-A": "b",
        "X-Accel-Buffering": "no",
    }


def test_an_invalid_option_is_refused():
    with pytest.raises(TypeError, match=r"options must be among heartbeat, retry, .* got 'hartbeat'"):
        EventStreamResponse(Recorder().run(), hartbeat=3)


@pytest.mark.parametrize("kind", ["async view", "sync view"])
async def test_any_django_view_can_return_the_response(visit, kind):
    source = Recorder("a")

    async def view(request):
        return EventStreamResponse(source.run(), retry=3, finite=True)

    def sync_view(request):
        return EventStreamResponse(source.run(), retry=3, finite=True)

    async with visit(view if kind == "async view" else sync_view, middleware=SECURITY) as stream:
        assert await stream.body() == b"retry: 3\ndata: a\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"
        assert "Content-Length" not in stream.headers
        assert "Connection" not in stream.headers


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_head_request_does_not_start_the_source_of_a_plain_view(visit, kind):
    source = Recorder("a")

    class Async(View):
        async def get(self, request):
            return EventStreamResponse(source.run_for_ever(), retry=3)

    class Sync(View):
        def get(self, request):
            return EventStreamResponse(source.run_in_thread(), retry=3)

    async with visit((Async if kind == "async" else Sync).as_view(), method="head") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await stream.body() == b""
    assert not source.started


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="Django 6.1 compresses streams event by event")
async def test_gzip_middleware_does_not_compress_a_stream(visit):
    async def view(request):
        return EventStreamResponse(Recorder("a").run())

    async with visit(view, middleware=GZIP, headers={"Accept-Encoding": "gzip"}) as stream:
        assert await stream.body() == b"data: a\n\n"
        assert "Content-Encoding" not in stream.headers


async def test_gzip_middleware_still_compresses_other_responses(visit):
    async def view(request):
        return HttpResponse("a" * 1000)

    async with visit(view, middleware=GZIP, headers={"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["Content-Encoding"] == "gzip"


def urls(view, settings, *middleware):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
    settings.MIDDLEWARE = list(middleware)


@pytest.mark.django_db(transaction=True)
async def test_djangos_async_client_can_read_a_stream(settings):
    source = Recorder("a")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            async for item in source.run_for_ever():
                yield item

    urls(View.as_view(), settings)
    response = await AsyncClient().get("/")
    assert response.streaming
    assert response.is_async
    content = response.streaming_content
    assert await anext(content) == b"data: a\n\n"
    assert not source.closed
    await sync_to_async(response.close)()
    assert source.closed


@pytest.mark.django_db
def test_djangos_sync_client_reads_the_events_of_an_asynchronous_view_one_by_one(settings):
    source = Recorder("a")
    pulled = []

    class View(AsyncSSEAPIView):
        async def get(self, request):
            async for item in source.run_for_ever():
                pulled.append(item)
                yield item

    urls(View.as_view(), settings)
    response = Client().get("/")
    assert not response.is_async
    content = iter(response.streaming_content)
    assert next(content) == b"data: a\n\n"
    assert not source.closed
    response.close()
    assert source.closed


@pytest.mark.django_db
@pytest.mark.parametrize("middleware", ["wrapping", "sync_wrapping", "sync_only"])
def test_synchronous_and_asynchronous_middleware_can_wrap_the_content_under_wsgi(settings, middleware):
    source = Recorder("a", "b")

    class View(AsyncSSEAPIView):
        async def get(self, request):
            async for item in source.run():
                yield item

    urls(View.as_view(), settings, f"tests.support.middleware.{middleware}")
    response = Client().get("/")
    body = b"".join(response)
    assert body.removeprefix(b": wrapped\n") == b"data: a\n\ndata: b\n\n"
    response.close()
    assert source.closed


def test_an_error_before_the_first_event_is_an_http_error_under_wsgi(settings):
    from rest_framework.exceptions import NotFound

    class View(AsyncSSEAPIView):
        async def get(self, request):
            raise NotFound
            yield

    urls(View.as_view(), settings)
    response = Client().get("/")
    assert response.status_code == 404
    assert response.json() == {"detail": "Not found."}


def test_a_head_request_under_wsgi_does_not_start_the_source(settings):
    source = Recorder("a")

    def view(request):
        return EventStreamResponse(source.run_for_ever())

    urls(view, settings)
    assert list(Client().head("/").streaming_content) == []
    assert not source.started
