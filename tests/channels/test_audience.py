"""Tests of many subscribers that share one log of events and are woken in groups."""

import asyncio
from contextlib import AsyncExitStack
from threading import Thread

import pytest
from django.db import connections

from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels import audience as audience_module
from adrf_sse.channels.audience import WOKEN_PER_TURN

pytestmark = pytest.mark.usefixtures("broker")

MANY = 3 * WOKEN_PER_TURN + 5


async def entered(stack, count):
    return [await stack.enter_async_context(subscribe("news")) for _ in range(count)]


def publish_at_once(values):
    """Publish events while the event loop waits."""

    def work():
        for value in values:
            publish("news", value)
        connections.close_all()

    thread = Thread(target=work)
    thread.start()
    thread.join()


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


@pytest.mark.parametrize("turn", [True, False], ids=["a turn between", "in a burst"])
async def test_each_of_many_subscribers_receives_each_event_once_and_in_order(turn):
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        for n in range(50):
            await apublish("news", n)
            if turn:
                await asyncio.sleep(0)
        for events in subscribers:
            assert await take(events, 50) == list(range(50))
    assert subscriber_counts() == {}


# Over Redis, the turn in which an event arrives is not known.
only_memory = pytest.mark.parametrize("broker", ["memory"], indirect=True)


@only_memory
async def test_other_tasks_run_before_all_subscribers_are_woken():
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        got = []

        async def reader(events, number):
            assert (await anext(events)).data == 1
            got.append(number)

        async with asyncio.TaskGroup() as group:
            for number, events in enumerate(subscribers):
                group.create_task(reader(events, number))
            await asyncio.sleep(0)
            publish("news", 1)
            await asyncio.sleep(0)
            got.append("another")
        assert got == [*range(WOKEN_PER_TURN), "another", *range(WOKEN_PER_TURN, MANY)]


async def test_a_subscriber_that_joins_or_leaves_during_a_round_misses_and_repeats_nothing():
    async with AsyncExitStack() as stack:
        staying = await entered(stack, MANY)
        for n in range(0, 60, 2):
            await apublish("news", n)
            async with subscribe("news") as brief:
                number = await apublish("news", n + 1)
                event = await anext(brief)
                assert event.data == n + 1
                assert int(event.id) == number
        for events in staying:
            assert await take(events, 60) == list(range(60))


async def test_subscribers_read_history_if_the_log_is_full(monkeypatch, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 10}
    monkeypatch.setattr(audience_module, "MAX_LOG", 20)
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        publish_at_once(range(100))
        got = [await take(events, 100) for events in subscribers]
        assert got == [list(range(100))] * MANY
        await apublish("news", "live")
        for events in subscribers:
            assert await take(events, 1) == ["live"]


@only_memory
async def test_a_reset_is_sent_after_waiting_events(monkeypatch, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 10, "MAX_SUBSCRIBER_BACKLOG": 10}
    monkeypatch.setattr(audience_module, "MAX_LOG", 20)
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        numbers = [publish("news", n) for n in range(100)]
        for events in subscribers:
            expected = [*range(10), {"last_event_id": numbers[9]}, *range(90, 100)]
            assert await take(events, len(expected)) == expected
