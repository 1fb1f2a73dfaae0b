"""Tests of the behavior of Django, Django REST Framework and adrf that makes the package necessary."""

import asyncio

import pytest
from adrf.views import APIView
from django.http import StreamingHttpResponse
from django.views.generic import View
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamRenderer
from tests.support.sources import Recorder

FRAMES = [b"data: a\n\n", b"data: b\n\n"]
SSE = {"Accept": "text/event-stream"}


class Naive(BaseRenderer):
    media_type = "text/event-stream"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return StreamingHttpResponse(data, content_type=self.media_type)


def stock(*renderers, answer):
    async def get(self, request):
        return Response(answer())

    return type("View", (APIView,), {"renderer_classes": renderers, "get": get}).as_view()


async def test_a_streaming_response_from_a_renderer_is_joined_into_one_body(visit):
    view = stock(Naive, answer=lambda: Recorder(*FRAMES).run())
    with pytest.warns(Warning, match="must consume asynchronous iterators"):
        async with visit(view) as stream:
            await stream.body()
    assert stream.chunks == [b"".join(FRAMES)]


async def test_a_response_returned_by_a_post_render_callback_replaces_the_original(visit):
    async def source():
        yield "a"
        await read.acquire()
        yield "b"

    read = asyncio.Semaphore(0)
    async with visit(stock(EventStreamRenderer, answer=source)) as stream:
        assert (await stream.next()).data == "a"
        read.release()
        assert (await stream.next()).data == "b"
    assert stream.chunks == FRAMES


async def test_a_request_for_an_event_stream_gets_406_from_a_view_with_only_json_renderers(visit):
    async with visit(stock(JSONRenderer, answer=dict), headers=SSE) as stream:
        assert stream.status_code == 406


async def test_an_asynchronous_generator_can_not_be_closed_while_another_task_reads_it():
    source = Recorder().run_for_ever()
    pull = asyncio.ensure_future(anext(source))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already running"):
        await source.aclose()
    pull.cancel()
    await asyncio.wait([pull])


async def test_django_runs_the_source_of_a_get_handler_for_a_head_request(visit):
    source = Recorder(*FRAMES)

    class Page(View):
        async def get(self, request):
            return StreamingHttpResponse(source.run())

    async with visit(Page.as_view(), method="head") as stream:
        await stream.body()
    assert source.started


def test_splitlines_splits_at_characters_that_are_not_line_ends_in_an_event_stream():
    assert len("a\u2028b\u2029c\x85d\x0be\x0cf".splitlines()) == 6
    assert "a\n".splitlines() == ["a"]


def test_django_treats_an_asynchronous_generator_handler_as_synchronous():
    class Page(View):
        async def get(self, request):
            yield

    assert not Page.view_is_async
