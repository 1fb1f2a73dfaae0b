import asyncio

import pytest

from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder


class Idle(AsyncSSEAPIView):
    async def get(self, request):
        return Recorder("a").run_for_ever()


class Short(AsyncSSEAPIView):
    async def get(self, request):
        yield "a"
        yield "b"


async def test_the_error_of_a_timeout_shows_what_was_received(visit):
    async with visit(Idle.as_view()) as stream:
        await stream.next()
        with pytest.raises(TimeoutError) as caught:
            await stream.next(timeout=0.01)
    assert str(caught.value) == (
        "GET /: no data within 0.01 s. Received so far: status 200, events: 1, last bytes: b'data: a\\n\\n'."
    )


async def test_the_error_at_the_end_of_a_stream_shows_what_was_received(visit):
    async with visit(Short.as_view()) as stream:
        assert [event.data async for event in stream] == ["a", "b"]
        with pytest.raises(StreamEnded, match="status 200, events: 2"):
            await stream.next()


async def test_the_client_sends_the_cookies_of_one_request(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield request.COOKIES

    async with visit(View.as_view(), cookies={"a": "1"}) as stream:
        assert (await stream.next()).data == '{"a":"1"}'


def test_the_fixture_returns_a_client(event_stream_client):
    assert isinstance(event_stream_client, EventStreamClient)


async def test_the_stream_ends_for_the_client_if_the_application_cancels_its_request():
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        asyncio.current_task().cancel()
        await receive()

    async with EventStreamClient(application).get("/") as stream:
        assert (await stream.next()).data == "1"
        with pytest.raises(StreamEnded):
            await stream.next()
