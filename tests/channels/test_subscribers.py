"""Subscribers read history at their own pace, and go on with what comes."""

import asyncio

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.brokers.messages import ChannelEvent, Page, message_body, page_of
from adrf_sse.brokers.redis.listener import RedisLink
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels.hub import hub_of
from adrf_sse.channels.subscribers import Reader
from adrf_sse.streams.buffer import CHUNK_SIZE, CountingBuffer


def event(number, channel="news"):
    return ChannelEvent(channel, number, message_body(number, None))


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


def use_memory(settings, **more):
    broker = {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker, **more}


async def test_a_gap_ends_nobody_who_reads(settings):
    use_memory(settings, MAX_SUBSCRIBER_BACKLOG=10)
    async with subscribe("news") as events, subscribe("news") as others:
        hub = hub_of(get_broker())
        for n in range(100):
            await apublish("news", n)
            if n % 7 == 0:
                hub.gap()
            if n % 5 == 4:
                assert await take(events, 5) == list(range(n - 4, n + 1))
                assert await take(others, 5) == list(range(n - 4, n + 1))
    assert subscriber_counts() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_after_a_gap_all_at_one_place_read_history_once(settings):
    use_memory(settings)
    reads = []

    class Counting(MemoryBroker):
        async def read(self, channels, after, limit):
            reads.append(after)
            return await super().read(channels, after, limit)

    broker = Counting()
    hub = hub_of(broker)
    readers = [Reader(frozenset(["news"]), None) for _ in range(50)]
    for reader in readers:
        await hub.join(reader)
        await hub.advance(reader)
    reads.clear()
    hub.gap()
    number = broker.publish("news", message_body("missed", None))
    await asyncio.gather(*(hub.advance(reader) for reader in readers))
    assert len(reads) == 1
    assert {reader.pop().number for reader in readers} == {number}
    for reader in readers:
        await hub.leave(reader)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_loss_in_one_of_many_channels_is_told_once(settings):
    use_memory(settings, CHANNEL_HISTORY=300)
    first = await apublish("loud", -1)
    for n in range(900):
        publish(("quiet", "loud", "loud")[n % 3], n)
    async with subscribe("quiet", "loud", last_event_id=first) as events:
        got = await take(events, 601)
    assert got[0] == {"last_event_id": first}
    assert [n for n in got[1:] if n % 3] == [n for n in range(450, 900) if n % 3], "what is kept of the loud one"
    assert [n for n in got[1:] if n % 3 == 0] == list(range(0, 900, 3)), "all of the quiet one"
    assert got[1:] == sorted(got[1:])


async def test_a_client_that_missed_nothing_gets_no_reset_however_old_its_id_is(settings):
    use_memory(settings, CHANNEL_TTL=0.001)
    first = await apublish("news", 1)
    async with subscribe("other") as events:  # until the id is older than what is kept
        while ChannelEvent("x", first, b"tx").age < 0.01:
            await asyncio.sleep(0)
        await apublish("other", "x")
        last = int((await anext(events)).id)
    async with subscribe("news", last_event_id=last) as events:
        await apublish("news", 2)
        assert (await anext(events)).data == 2


async def test_a_subscription_that_is_left_ends_for_who_waits_in_it(settings):
    use_memory(settings)
    subscription = subscribe("news")
    await subscription.__aenter__()
    waiting = asyncio.create_task(anext(subscription, "ended"))
    await asyncio.sleep(0)
    await subscription.leave()
    assert await waiting == "ended"


@pytest.mark.parametrize(
    ("parts", "limit", "numbers", "complete"),
    [
        ([([1, 4], False), ([2, 3], False)], 10, [1, 2, 3, 4], True),
        ([([1, 4], True), ([2, 3], False)], 10, [1, 2, 3, 4], False),
        ([([1, 4], True), ([2, 9], False)], 10, [1, 2, 4], False),
        ([([1, 4], False), ([2, 3], True)], 10, [1, 2, 3], False),
        ([([1, 4], False), ([2, 3], False)], 3, [1, 2, 3], False),
        ([], 3, [], True),
    ],
)
def test_a_page_ends_where_the_first_part_ends_that_has_more(parts, limit, numbers, complete):
    parts = [([event(number) for number in part], more) for part, more in parts]
    page = page_of(parts, position=10, limit=limit, missed_until=0)
    assert ([each.number for each in page.events], page.complete) == (numbers, complete)


async def test_what_is_held_beyond_the_backlog_comes_from_history(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 3}
    reader = Reader(frozenset(["news"]), 1)

    async def read(channels, after):
        from adrf_sse.channels.batches import Batch

        reader.receive(Batch([event(5), event(6)]))
        return Page([event(2), event(3)], 4, True, 0), True

    await reader.advance(read)
    assert not reader.live, "two of the page and two held would be one too many"
    assert reader.position == 4
    assert [reader.pop().number, reader.pop().number, reader.pop()] == [2, 3, None]


def test_a_buffer_of_shared_chunks_gives_up_to_a_chunk_and_counts_events():
    buffer = CountingBuffer()
    buffer.put_events(b"x" * CHUNK_SIZE, 5)
    buffer.put(b":\n")
    buffer.put_events(b"y" * 10, 2)
    assert buffer.events == 7
    assert len(buffer.take()) == CHUNK_SIZE
    assert buffer.events == 2
    assert buffer.take() == b":\n" + b"y" * 10
    assert buffer.events == 0
    assert not buffer
    buffer.put(b"")
    buffer.put_first(b"")
    buffer.put_events(b"x" * CHUNK_SIZE, 3)
    buffer.put_events(b"y", 1)
    assert len(buffer.take()) == CHUNK_SIZE
    assert buffer.events == 1


class Wire:
    """A connection to a Redis that says what the test says."""

    def __init__(self):
        self.replies = asyncio.Queue()
        self.sent = []

    async def send(self, *command):
        self.sent.append(command)

    async def receive(self, timeout):
        reply = await self.replies.get()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def aclose(self):
        pass

    def confirm(self, channel):
        self.replies.put_nowait([b"subscribe", b"p:" + channel, 1])

    def message(self, channel, text):
        self.replies.put_nowait([b"message", b"p:" + channel, text])


class Inbox:
    def __init__(self):
        self.got = asyncio.Queue()

    def receive(self, event):
        self.got.put_nowait(event.number)

    def gap(self):
        self.got.put_nowait("gap")


@pytest.fixture
async def link():
    wires, inbox = asyncio.Queue(), Inbox()

    async def connect():
        return await wires.get()

    link = RedisLink(connect, inbox, prefix="p:", silence=None)
    link.wires, link.inbox = wires, inbox
    yield link
    await link.aclose()


async def reconnected(link):
    """Return a second connection, where the first was subscribed to ``a`` and ``b``."""
    first, second = Wire(), Wire()
    link.wires.put_nowait(first)
    first.confirm(b"a")
    first.confirm(b"b")
    await link.add(["a", "b"])
    first.replies.put_nowait(OSError())
    link.wires.put_nowait(second)
    return second


async def test_what_comes_before_all_channels_are_back_is_left_to_history(link):
    wire = await reconnected(link)
    wire.confirm(b"a")
    wire.message(b"a", b"7:tx\n\n")
    wire.confirm(b"b")
    wire.message(b"a", b"8:tx\n\n")
    assert [await link.inbox.got.get() for _ in range(2)] == ["gap", 8]


async def test_a_channel_that_nobody_wants_any_more_is_not_waited_for(link):
    wire = await reconnected(link)
    wire.confirm(b"a")
    wire.message(b"a", b"not ours")
    wire.message(b"a", b"hello")
    while not wire.replies.empty():
        await asyncio.sleep(0)
    await link.remove(["b"])
    assert await link.inbox.got.get() == "gap"
    wire.message(b"a", b"hello")
    wire.message(b"a", b"9:tx\n\n")
    assert await link.inbox.got.get() == 9, "what others publish there does no harm"


async def test_nothing_is_remembered_of_channels_that_many_share(link):
    wire = Wire()
    link.wires.put_nowait(wire)
    wire.confirm(b"a")
    await link.add(["a"])
    for _ in range(3):
        await link.add(["a"])
    assert not link._unconfirmed
