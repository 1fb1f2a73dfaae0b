"""Tests of cursors, which read history and then the log without losing or repeating an event."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.brokers.messages import ChannelEvent, message_body, page_of
from adrf_sse.brokers.redis.foreign import ForeignData
from adrf_sse.brokers.redis.listener import RedisListener
from adrf_sse.channels import apublish, publish, subscribe, subscriber_counts
from adrf_sse.channels import audience as audience_module
from adrf_sse.channels.audience import Audience
from adrf_sse.channels.cursor import Chunk, Cursor, State, join
from adrf_sse.channels.hub import hub_of
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.signals import subscriber_dropped
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream


def event(number, channel="news"):
    return ChannelEvent(channel, number, message_body(number, None))


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


def use_memory(settings, **more):
    broker = {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker, **more}


async def test_a_resync_does_not_drop_a_subscriber_that_reads(settings):
    use_memory(settings, MAX_SUBSCRIBER_BACKLOG=10)
    async with subscribe("news") as events, subscribe("news") as others:
        hub = hub_of(get_broker())
        for n in range(100):
            await apublish("news", n)
            if n % 7 == 0:
                hub.resync()
            if n % 5 == 4:
                assert await take(events, 5) == list(range(n - 4, n + 1))
                assert await take(others, 5) == list(range(n - 4, n + 1))
    assert subscriber_counts() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cursors_at_the_same_id_share_one_history_query_after_a_resync(settings):
    use_memory(settings)
    reads = []

    class Counting(MemoryBroker):
        async def read(self, channels, after, limit):
            reads.append(after)
            return await super().read(channels, after, limit)

    broker = Counting()
    hub = hub_of(broker)
    cursors = [Cursor(frozenset(["news"]), None) for _ in range(50)]
    for cursor in cursors:
        await hub.join(cursor)
        await hub.catch_up(cursor)
    reads.clear()
    hub.resync()
    number = broker.publish("news", message_body("missed", None))
    await asyncio.gather(*(hub.catch_up(cursor) for cursor in cursors))
    assert len(reads) == 1
    assert {cursor.next_event().number for cursor in cursors} == {number}
    for cursor in cursors:
        await hub.leave(cursor)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_events_missing_from_one_channel_cause_a_single_reset(settings):
    use_memory(settings, CHANNEL_HISTORY=300)
    first = await apublish("loud", -1)
    for n in range(900):
        publish(("quiet", "loud", "loud")[n % 3], n)
    async with subscribe("quiet", "loud", last_event_id=first) as events:
        got = await take(events, 601)
    assert got[0] == {"last_event_id": first}
    assert [n for n in got[1:] if n % 3] == [n for n in range(450, 900) if n % 3], "the history of the loud channel"
    assert [n for n in got[1:] if n % 3 == 0] == list(range(0, 900, 3)), "all events of the quiet channel"
    assert got[1:] == sorted(got[1:])


async def test_a_client_with_an_old_id_that_missed_no_event_receives_no_reset(settings):
    use_memory(settings, CHANNEL_TTL=0.001)
    first = await apublish("news", 1)
    async with subscribe("other") as events:  # wait until the id is older than the history
        while ChannelEvent("x", first, b"tx").age < 0.01:
            await asyncio.sleep(0)
        await apublish("other", "x")
        last = int((await anext(events)).id)
    async with subscribe("news", last_event_id=last) as events:
        await apublish("news", 2)
        assert (await anext(events)).data == 2


async def test_leaving_a_subscription_ends_a_waiting_iteration(settings):
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
def test_a_page_ends_at_the_earliest_channel_that_has_more_events(parts, limit, numbers, complete):
    parts = [([event(number) for number in part], more) for part, more in parts]
    page = page_of(parts, position=10, limit=limit, missed={})
    assert ([each.number for each in page.events], page.complete) == (numbers, complete)


class Log(Audience):
    """An audience with one cursor, which is at the beginning of the log."""

    def __init__(self, last_id=0, **callbacks):
        super().__init__(frozenset(["news"]))
        self.cursor = Cursor(self.channels, last_id, **callbacks)
        self.cursor.log = self
        self.cursors.add(self.cursor)
        self.move(self.cursor, self.end)
        self.cursor.go_live()

    def publish(self, *numbers):
        for number in numbers:
            self.append(event(number))
        self.serve(1)


def frames(*numbers):
    return b"".join(event(number).frame for number in numbers)


async def test_cursors_at_the_same_position_share_one_chunk_of_released_events():
    log = Log()
    other = Cursor(log.channels, 0)
    other.log = log
    log.move(other, log.end)
    other.go_live()
    log.publish(1, 2)
    chunk = log.cursor.take()
    assert chunk == frames(1, 2)
    assert other.take() is chunk
    assert (log.cursor.take(), log.cursor.events, log.cursor.last_id) == (b"", 2, 2)


async def test_a_cursor_skips_events_of_its_last_page():
    log = Log(last_id=2)
    log.publish(1, 2)
    assert log.cursor.take() == b""
    assert log.cursor.next_event() is None
    log.publish(3)
    assert log.cursor.take() == frames(3)
    other = Log(last_id=2)
    other.publish(1, 2, 3)
    assert other.cursor.next_event().number == 3


async def test_the_streams_own_frames_are_sent_after_the_events_before_them():
    log = Log()
    log.publish(1)
    log.cursor.put(b":\n")
    log.publish(2)
    log.cursor.put(b"retry: 5\n\n", first=True)
    assert log.cursor.take() == b"retry: 5\n\n" + frames(1) + b":\n"
    assert log.cursor.take() == frames(2)
    log.cursor.put(b"")
    assert not log.cursor


async def test_the_log_discards_events_that_all_cursors_have_read():
    log = Log()
    log.publish(1, 2, 3)
    slow = Cursor(log.channels, 0)
    slow.log = log
    log.move(slow, 1)
    assert log.cursor.take() == frames(1, 2, 3)
    assert log.end == 3
    assert log.event(1).number == 2
    log.move(slow, None)
    log.publish(4)
    assert log.event(3).number == 4
    log.remove(log.cursor)
    assert log.append(event(5))
    assert log.end == 4, "an event is discarded if no cursor reads the log"


async def test_a_burst_is_released_in_parts_and_does_not_drop_a_cursor_that_reads(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 4}
    log = Log()
    log.publish(*range(1, 9))
    assert log.cursor.unread == 2
    for number in (1, 3, 5, 7):
        assert log.cursor.take() == frames(number, number + 1)
        assert log.cursor.state is State.LIVE
        log.serve(1)


async def test_a_cursor_that_does_not_read_is_dropped_after_its_backlog(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 4}
    ends = []
    log = Log(on_lag=lambda: ends.append("lagged"))
    log.publish(*range(1, 9))
    while log.has_more():
        log.serve(1)
    assert (log.cursor.state, ends) == (State.LAGGED, ["lagged"])
    assert [log.cursor.next_event().number for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(SubscriberLagged, match="last_event_id=4"):
        log.cursor.next_event()


async def test_a_cursor_that_waits_to_be_woken_is_not_dropped(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 4}
    log = Log()
    ready = log.cursor.wait_for_frames()
    for number in range(1, 9):
        log.append(event(number))
    for _ in range(8):
        log.serve(0)
    assert not ready.done()
    log.serve(1)
    assert ready.done()
    assert log.cursor.take() == frames(*range(1, 9))


async def test_a_cursor_reads_another_page_if_the_log_has_passed_its_mark(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 4}
    log = Log()
    behind = Cursor(log.channels, 0)
    behind.log = log
    log.cursors.add(behind)
    log.move(behind, log.end)
    for number in range(1, 9):
        log.publish(number)
        assert log.cursor.take() == frames(number)
    assert (behind.place, behind.state) == (None, State.BEHIND)


def test_events_are_joined_up_to_a_chunk():
    small, large = event(1), ChannelEvent("news", 2, b"t" + b"x" * CHUNK_SIZE)
    assert join([small, large, small], 0) == Chunk(small.frame, 1, 1, 1)
    assert join([small, large, small], 1) == Chunk(large.frame, 1, 2, 2)
    assert join([small, large], 2) == Chunk(b"", 0, 0, 0)


class Connection:
    """A connection to a Redis whose replies the test chooses."""

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


class Receiver:
    def __init__(self):
        self.calls = asyncio.Queue()

    def receive(self, event):
        self.calls.put_nowait(event.number)

    def resync(self):
        self.calls.put_nowait("resync")


@pytest.fixture
async def listener():
    connections, receiver = asyncio.Queue(), Receiver()

    async def connect():
        return await connections.get()

    listener = RedisListener(connect, receiver, prefix="p:", silence=None, foreign=ForeignData())
    listener.connections, listener.receiver = connections, receiver
    yield listener
    await listener.aclose()


async def reconnected(listener):
    """Subscribe a first connection to ``a`` and ``b``, break it, and return a second connection."""
    first, second = Connection(), Connection()
    listener.connections.put_nowait(first)
    first.confirm(b"a")
    first.confirm(b"b")
    await listener.subscribe(["a", "b"])
    first.replies.put_nowait(OSError())
    listener.connections.put_nowait(second)
    return second


async def test_events_that_arrive_before_all_channels_are_restored_are_read_from_history(listener):
    connection = await reconnected(listener)
    connection.confirm(b"a")
    connection.message(b"a", b"7:tdata: x\n\n")
    connection.confirm(b"b")
    connection.message(b"a", b"8:tdata: x\n\n")
    assert [await listener.receiver.calls.get() for _ in range(2)] == ["resync", 8]


async def test_reconnecting_does_not_wait_for_a_channel_without_subscribers(listener):
    connection = await reconnected(listener)
    connection.confirm(b"a")
    connection.message(b"a", b"unrelated")
    connection.message(b"a", b"hello")
    while not connection.replies.empty():
        await asyncio.sleep(0)
    await listener.unsubscribe(["b"])
    assert await listener.receiver.calls.get() == "resync"
    connection.message(b"a", b"hello")
    connection.message(b"a", b"9:tdata: x\n\n")
    assert await listener.receiver.calls.get() == 9, "messages of other publishers must be ignored"


async def test_subscribing_again_leaves_no_pending_confirmation(listener):
    connection = Connection()
    listener.connections.put_nowait(connection)
    connection.confirm(b"a")
    await listener.subscribe(["a"])
    for _ in range(3):
        await listener.subscribe(["a"])
    assert not listener._unconfirmed


# Subscribers that leave, fall behind and wait in the wrong moment


async def streamed(channel="news", **given):
    stream = EventStream(subscribe(channel), options({"heartbeat": None, **given}))
    assert (await anext(stream)).startswith(b"id: ")
    return stream


async def test_events_that_are_ready_are_sent_when_a_stream_of_channels_expires(settings):
    use_memory(settings)
    stream = await streamed()
    for n in range(3):
        publish("news", n)
    stream.expire()
    assert b"".join([chunk async for chunk in stream]).count(b"data: ") == 3


async def test_publishing_works_after_a_loop_ended_with_an_open_subscription(settings):
    use_memory(settings)

    def abandon():
        async def open_and_leave_open():
            await subscribe("news").__aenter__()

        asyncio.run(open_and_leave_open())
        return [publish("news", n) for n in range(2)]

    assert len(await asyncio.to_thread(abandon)) == 2


async def test_a_cursor_that_left_while_it_opened_leaves_no_mark_in_a_new_audience(settings):
    use_memory(settings)
    hub = hub_of(get_broker())
    gone = Cursor(frozenset(["news"]), None)
    await hub.join(gone)
    gone.leave()
    await hub.leave(gone)
    async with subscribe("news") as events:
        hub = hub_of(get_broker())
        await hub.catch_up(gone)
        assert gone.place is None
        for n in range(5):
            await apublish("news", n)
            assert await take(events, 1) == [n]
    assert subscriber_counts() == {}


async def test_a_subscriber_that_waits_behind_one_that_gave_up_is_woken(settings):
    use_memory(settings)
    async with AsyncExitStack() as stack:
        subscribers = [await stack.enter_async_context(subscribe("news")) for _ in range(200)]
        impatient = asyncio.create_task(anext(subscribers[0]))
        readers = [asyncio.create_task(take(events, 2)) for events in subscribers[1:]]
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait([impatient])
        publish("news", 1)
        publish("news", 2)
        assert await asyncio.gather(*readers) == [[1, 2]] * 199


async def test_a_receiver_of_a_signal_may_publish(settings):
    use_memory(settings, MAX_SUBSCRIBER_BACKLOG=2)

    def republish(channels, **kwargs):
        publish("news", "someone fell behind")

    subscriber_dropped.connect(republish)
    async with subscribe("news"), subscribe("news") as events:
        got = []
        for n in range(4):
            publish("news", n)
            got += await take(events, 1)
        got += await take(events, 1)
        assert sorted(got, key=str) == [0, 1, 2, 3, "someone fell behind"]
    subscriber_dropped.disconnect(republish)


async def test_a_history_that_hangs_holds_up_no_subscriber_that_is_live(settings, monkeypatch):
    monkeypatch.setattr(audience_module, "MAX_LOG", 20)
    use_memory(settings, MAX_SUBSCRIBER_BACKLOG=5)
    never = asyncio.Event()
    async with subscribe("news") as live, subscribe("news") as behind:
        hub_of(get_broker())._history.read = lambda *args: never.wait()
        behind._cursor.fall_behind([], None)
        behind._cursor.log.move(behind._cursor, None)
        waiting = asyncio.create_task(anext(behind))
        for n in range(50):
            publish("news", n)
            assert await take(live, 1) == [n]
            await asyncio.sleep(0)
        assert behind._cursor.place is None
        waiting.cancel()
        await asyncio.wait([waiting])
