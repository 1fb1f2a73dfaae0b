"""Tests of the project, as pytest runs them."""

from typing import Any, assert_type

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User

from adrf_sse import ServerSentEvent
from adrf_sse.channels import apublish, subscribe
from adrf_sse.testing import EventStreamClient, PendingStream, StreamEnded, SyncTestStream, TestStream


def test_prices_synchronously(alice: User) -> None:
    with EventStreamClient(enforce_csrf_checks=True) as client:
        client.force_login(alice)
        client.credentials(HTTP_AUTHORIZATION="Token 1")
        client.force_authenticate(alice, token="1")
        request = client.get("/prices/", {"since": 1})
        assert_type(request, PendingStream)
        with request as stream:
            assert_type(stream, SyncTestStream)
            assert stream.status_code == 200
            assert_type(stream.next(timeout=1), ServerSentEvent)
            assert_type(stream.take(3), list[ServerSentEvent])
            for event in stream:
                assert event.data
            assert_type(stream.body(), bytes)
        assert client.login(username="alice", password="secret")
        client.logout()


async def test_prices(alice: User) -> None:
    client = EventStreamClient()
    async with client.get("/prices/", headers={"Accept": "text/event-stream"}, user=alice) as stream:
        assert_type(stream, TestStream)
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        first = await stream.next(timeout=1)
        assert_type(first, ServerSentEvent)
        more = await stream.take(3, timeout=1)
        assert_type(more, list[ServerSentEvent])
        assert stream.last_event_id == more[-1].id
        assert stream.retry is None


async def test_every_method(event_stream_client: EventStreamClient, application: Any) -> None:
    async with event_stream_client.post("/chat/", {"text": "hello"}, format="json") as stream:
        async for event in stream:
            assert event.data
    async with event_stream_client.put("/chat/", {}, content_type="application/json", cookies={"a": "b"}) as stream:
        assert_type(await stream.next_chunk(), bytes | None)
        assert_type(await stream.body(timeout=1), bytes)
    async with EventStreamClient(application).patch("/chat/") as stream:
        await stream.json()
    async with event_stream_client.delete("/chat/") as stream:
        with pytest.raises(StreamEnded):
            await stream.next()
    async with event_stream_client.head("/chat/") as stream:
        assert not await stream.body()
    async with event_stream_client.options("/chat/") as stream:
        await stream.disconnect()
    async with event_stream_client.generic("QUERY", "/chat/") as stream:
        assert stream.cookies


async def test_an_order_is_streamed(event_stream_client: EventStreamClient) -> None:
    async with event_stream_client.get("/orders/42/events/") as stream:
        await apublish("orders.42", {"status": "paid"}, event="order")
        event = await stream.next(timeout=5)
    assert (event.event, event.data) == ("order", '{"status":"paid"}')


async def first_event(channel: str, after: int) -> ServerSentEvent:
    async with subscribe(channel, last_event_id=after) as events:
        return await anext(events)


def test_a_published_event() -> None:
    event = async_to_sync(first_event)("news", 0)
    assert event.data
