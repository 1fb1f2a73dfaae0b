"""Tests of what the memory broker, and the subscribers of its channels, keep in memory."""

import asyncio
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker, memory_listener
from adrf_sse.brokers.memory import MAX_BYTES
from adrf_sse.brokers.messages import PAGE_SIZE
from adrf_sse.channels import apublish, audience, publish, subscribe, subscriber_counts
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream

KIB, MIB = 1024, 1024 * 1024


def use_memory(settings, options=None, **more):
    broker = {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": options or {}}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker, **more}


@contextmanager
def traced():
    """Yield a function that returns the bytes of memory that were allocated since, and are still used."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("channels", "events", "size"), [(5, 1000, 192 * KIB), (1, 20, 8 * MIB), (1000, 6000, 50)], ids=str
)
def test_histories_need_no_more_memory_than_their_limit(settings, channels, events, size):
    limit = 2 * MIB if size < KIB else MAX_BYTES
    use_memory(settings, {"max_bytes": limit} if size < KIB else None, MAX_EVENT_SIZE=9 * MIB)
    with traced() as used:
        for n in range(events):
            publish(f"c{n % channels}", "x" * size)
        assert 0.5 * limit < used() < 1.1 * limit


async def test_the_oldest_events_of_all_channels_are_dropped_first(settings):
    use_memory(settings, {"max_bytes": 100 * KIB})
    numbers = [publish(f"c{n % 3}", "x" * 20 * KIB) for n in range(12)]
    page = await get_broker().read(["c0", "c1", "c2"], numbers[7], 100)
    assert ([event.number for event in page.events], page.missed, page.complete) == (numbers[8:], {}, True)
    page = await get_broker().read(["c0", "c1", "c2"], numbers[6], 100)
    assert ([event.number for event in page.events], page.missed) == (numbers[8:], {"c1": numbers[7]})


async def test_a_client_that_missed_dropped_events_receives_a_reset(settings):
    use_memory(settings, {"max_bytes": 100 * KIB})
    first = publish("quiet", "first")
    publish("quiet", "second")
    for _ in range(10):
        last = publish("loud", "x" * 20 * KIB)
    for channel, expected in (("quiet", []), ("loud", ["x" * 20 * KIB] * 4)):
        async with subscribe(channel, last_event_id=first) as events:
            assert (await anext(events)).event == "reset"
            assert [(await anext(events)).data for _ in expected] == expected
    async with subscribe("quiet", last_event_id=last) as events:
        publish("quiet", "third")
        assert (await anext(events)).data == "third"


def test_the_last_event_is_kept_however_large_it_is(settings):
    use_memory(settings, {"max_bytes": 1})
    numbers = [publish("news", "x" * 20 * KIB) for _ in range(3)]
    page = asyncio.run(get_broker().read(["news"], numbers[0], 100))
    assert ([event.number for event in page.events], page.missed) == (numbers[2:], {"news": numbers[1]})


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "64M", None])
def test_a_limit_that_is_no_positive_number_is_refused(settings, value):
    use_memory(settings, {"max_bytes": value})
    with pytest.raises(ImproperlyConfigured, match=r"ADRF_SSE\['BROKER'\]\['OPTIONS'\] is invalid: max_bytes"):
        get_broker()


async def test_large_events_that_wait_for_an_event_loop_are_read_from_history(settings, monkeypatch):
    monkeypatch.setattr(memory_listener, "MAX_WAITING_BYTES", 100 * KIB)
    use_memory(settings)
    async with subscribe("news") as events:
        # The event loop can receive nothing while this blocks it.
        with ThreadPoolExecutor(1) as threads:
            numbers = threads.submit(lambda: [publish("news", "x" * 20 * KIB) for _ in range(20)]).result()
        assert [(await anext(events)).number for _ in numbers] == numbers


async def test_a_subscriber_that_does_not_read_keeps_no_more_large_events_than_a_log_holds(settings, monkeypatch):
    monkeypatch.setattr(audience, "MAX_LOG_BYTES", 2 * MIB)
    use_memory(settings, {"max_bytes": 4 * MIB})
    async with subscribe("news") as fast, subscribe("news") as slow:
        with traced() as used:
            for n in range(200):
                number = await apublish("news", f"{n} " + "x" * 100 * KIB)
                assert (await anext(fast)).number == number
            assert used() < 8 * MIB
        first = await anext(slow)
        assert first.data.startswith("0 ")
        while (event := await anext(slow)).event != "reset":
            assert event.number > first.number
        while event.number != number:
            event = await anext(slow)
    assert subscriber_counts() == {}


async def test_streams_that_end_copy_no_more_than_a_page_of_the_log(settings):
    use_memory(settings)
    streams = [EventStream(subscribe("news"), options({"heartbeat": None})) for _ in range(20)]
    for stream in streams:
        assert b"event: ready" in await anext(stream)
    number, *_ = [await apublish("news", f"{n} " + "x" * 20 * KIB) for n in range(500)]
    with traced() as used:
        for stream in streams:
            stream.expire()
        assert used() < 2 * len(streams) * PAGE_SIZE
    for stream in streams:
        chunks = [chunk async for chunk in stream]
        assert chunks[0].startswith(b"id: %d\n" % number)
        assert PAGE_SIZE <= len(b"".join(chunks)) < 2 * PAGE_SIZE
    assert subscriber_counts() == {}


@pytest.mark.parametrize("size", [1, 20 * KIB])
async def test_a_burst_larger_than_a_log_loses_no_event(settings, monkeypatch, size):
    monkeypatch.setattr(audience, "MAX_LOG_BYTES", 64 * KIB)
    use_memory(settings)
    async with subscribe("news") as events, subscribe("news", "other") as others:
        numbers = [publish("news", "x" * size) for _ in range(500)]
        for subscriber in (events, others):
            assert [(await anext(subscriber)).number for _ in numbers] == numbers
        number = await apublish("news", "live")
        assert [(await anext(subscriber)).number for subscriber in (events, others)] == [number] * 2
