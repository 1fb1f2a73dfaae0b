"""Many subscribers are served in small groups, one after the other."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels import hub as hubs_module
from adrf_sse.channels.rounds import GROUP

pytestmark = pytest.mark.usefixtures("broker")

MANY = 3 * GROUP + 5


async def entered(stack, count):
    return [await stack.enter_async_context(subscribe("news")) for _ in range(count)]


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


@pytest.mark.parametrize("turn", [True, False], ids=["a turn between", "in a burst"])
async def test_each_of_many_gets_each_event_once_in_order(turn):
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        for n in range(50):
            publish("news", n)
            if turn:
                await asyncio.sleep(0)
        for events in subscribers:
            assert await take(events, 50) == list(range(50))
    assert subscriber_counts() == {}


# Over Redis, when an event comes is not known.
only_memory = pytest.mark.parametrize("broker", ["memory"], indirect=True)


@only_memory
async def test_others_come_to_their_turn_before_all_are_served():
    async with AsyncExitStack() as stack:
        first, *_, last = await entered(stack, MANY)
        got = []

        async def reader(events, name):
            got.append((name, (await anext(events)).data))

        async with asyncio.TaskGroup() as group:
            group.create_task(reader(last, "last"))
            group.create_task(reader(first, "first"))
            await asyncio.sleep(0)
            publish("news", 1)
            await asyncio.sleep(0)
            got.append("another")
        assert got == [("first", 1), "another", ("last", 1)]


async def test_who_comes_and_goes_between_the_groups_neither_misses_nor_repeats():
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


async def test_what_is_too_much_to_wait_comes_from_history(monkeypatch):
    monkeypatch.setattr(hubs_module, "MAX_PENDING", 20)
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        for n in range(400):
            publish("news", n)
        got = [await take(events, 400) for events in subscribers]
        assert got == [list(range(400))] * MANY
        await apublish("news", "live")
        for events in subscribers:
            assert await take(events, 1) == ["live"]


@only_memory
async def test_a_reset_comes_after_all_that_waited(monkeypatch, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 10}
    monkeypatch.setattr(hubs_module, "MAX_PENDING", 20)
    async with AsyncExitStack() as stack:
        subscribers = await entered(stack, MANY)
        numbers = [publish("news", n) for n in range(100)]
        for events in subscribers:
            # 20 may wait, and the one that was too much.
            expected = [*range(21), {"last_event_id": numbers[20]}, *range(90, 100)]
            assert await take(events, len(expected)) == expected
