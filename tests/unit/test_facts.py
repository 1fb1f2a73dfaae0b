"""The faults that the package exists for, seen in Django, Django REST Framework and adrf without it."""

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


async def test_fact_1_a_streaming_response_from_a_renderer_is_joined_into_one_body(visit):
    view = stock(Naive, answer=lambda: Recorder(*FRAMES).run())
    with pytest.warns(Warning, match="must consume asynchronous iterators"):
        async with visit(view) as stream:
            await stream.body()
    assert stream.chunks == [b"".join(FRAMES)]


async def test_fact_2_what_a_post_render_callback_returns_takes_the_responses_place(visit):
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


async def test_fact_3_with_json_renderers_only_an_event_source_gets_406(visit):
    async with visit(stock(JSONRenderer, answer=dict), headers=SSE) as stream:
        assert stream.status_code == 406


async def test_fact_12_a_pull_in_a_task_of_its_own_breaks_on_close():
    source = Recorder().run_for_ever()
    pull = asyncio.ensure_future(anext(source))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already running"):
        await source.aclose()
    pull.cancel()
    await asyncio.wait([pull])


async def test_fact_14_and_20_head_runs_the_source_of_a_get_handler(visit):
    source = Recorder(*FRAMES)

    class Page(View):
        async def get(self, request):
            return StreamingHttpResponse(source.run())

    async with visit(Page.as_view(), method="head") as stream:
        await stream.body()
    assert source.started


def test_fact_17_splitlines_breaks_lines_that_the_specification_does_not():
    assert len("a\u2028b\u2029c\x85d\x0be\x0cf".splitlines()) == 6
    assert "a\n".splitlines() == ["a"]


def test_fact_18_django_takes_an_asynchronous_generator_handler_for_synchronous():
    class Page(View):
        async def get(self, request):
            yield

    assert not Page.view_is_async
