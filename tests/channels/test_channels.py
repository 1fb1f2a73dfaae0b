"""Tests of channels that run with every broker."""

import asyncio
import random
import threading
from datetime import UTC, datetime
from unittest.mock import ANY

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.db import transaction

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.memory import MemoryBroker
from adrf_sse.channels import acurrent_event_id, apublish, current_event_id, publish, subscribe, subscriber_counts
from adrf_sse.checks.project import check_broker
from adrf_sse.events import ServerSentEvent
from adrf_sse.exceptions import SubscriberLagged
from tests.support.postgres_server import closing

pytestmark = pytest.mark.usefixtures("broker")


async def take(events, count):
    return [await anext(events) for _ in range(count)]


async def test_a_subscriber_receives_events_published_after_it_subscribed():
    await apublish("news", "before")
    async with subscribe("news") as events:
        number = await apublish("news", {"title": "Hi"}, event="story")
        await apublish("other", "unrelated")
        last = await apublish("news", "plain\r\ntext")
        story, text = await take(events, 2)
    assert isinstance(story, ServerSentEvent)
    assert (story.event, story.data, story.id) == ("story", {"title": "Hi"}, str(number))
    assert story.encode() == b'id: %d\nevent: story\ndata: {"title":"Hi"}\n\n' % number
    assert (text.event, text.data, text.id) == (None, "plain\ntext", str(last))
    assert text.encode() == b"id: %d\ndata: plain\ndata: text\n\n" % last


@pytest.mark.parametrize(
    "data", [{"a": [1, None]}, [], 0, None, "", "7", "äöü \U0001f600\u2028", {"t": "x\u2028"}, True]
)
async def test_a_subscriber_receives_the_data_that_was_published(data):
    async with subscribe("news") as events:
        await apublish("news", data)
        event = await anext(events)
    assert event.data == data
    assert type(event.data) is type(data)


async def test_data_is_encoded_by_the_json_renderer():
    async with subscribe("news") as events:
        await apublish("news", {"at": datetime(2026, 1, 1, tzinfo=UTC)})
        assert (await anext(events)).data == {"at": "2026-01-01T00:00:00Z"}


async def test_a_subscriber_can_not_change_the_data_of_another():
    async with subscribe("news") as ours, subscribe("news") as theirs:
        await apublish("news", {"n": 1})
        event = await anext(ours)
        event.data["n"] = 2
        assert event.data == {"n": 1}
        assert (await anext(theirs)).data == {"n": 1}


async def test_ids_increase_across_channels():
    numbers = [await apublish(channel, "x") for channel in ("a", "b", "a", "c")]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 2**53, "JavaScript must represent the id exactly"


async def test_history_is_sent_before_new_events():
    first, *_ = [await apublish("news", n) for n in range(5)]
    async with subscribe("news", last_event_id=str(first)) as events:
        await apublish("news", 5)
        assert [event.data for event in await take(events, 5)] == [1, 2, 3, 4, 5]


async def test_events_of_several_channels_arrive_in_order_of_id():
    first = await apublish("a", 0)
    for n in range(1, 9):
        await apublish("ab"[n % 2], n)
    async with subscribe("a", "b", "a", last_event_id=first) as events:
        await apublish("b", 9)
        assert [event.data for event in await take(events, 9)] == list(range(1, 10))


async def test_a_long_history_is_read_in_pages(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 10}
    first = await apublish("a", 0)
    for n in range(1, 100):
        await apublish("ab"[n % 2], n)
    async with subscribe("a", "b", last_event_id=first) as events:
        assert [event.data for event in await take(events, 99)] == list(range(1, 100))
        await apublish("b", "live")
        assert (await anext(events)).data == "live"


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_reset_is_sent_only_if_events_were_lost(settings, lost):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 3}
    first, *numbers = [await apublish("news", n) for n in range(4 + lost)]
    async with subscribe("news", last_event_id=first) as events:
        if lost:
            reset = await anext(events)
            assert (reset.event, reset.data) == ("reset", {"last_event_id": first})
            assert first < int(reset.id) < numbers[1], "a client that resumes from it receives the events that follow"
        assert [int(event.id) for event in await take(events, 3)] == numbers[-3:]


async def test_each_channel_has_its_own_history_limit(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 2}
    first = await apublish("quiet", 0)
    for _ in range(10):
        await apublish("loud", "x")
    await apublish("quiet", 1)
    async with subscribe("quiet", last_event_id=first) as events:
        assert (await anext(events)).data == 1


async def test_events_expire_from_history(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_TTL": 0.001}
    first = await apublish("news", "old")
    while await apublish("tick", "x") < first + 2000:
        pass
    await apublish("news", "new")
    async with subscribe("news", last_event_id=first - 1) as events:
        assert (await anext(events)).event == "reset"
    async with subscribe("news", last_event_id=first) as events:
        assert "old" not in [event.data for event in await take(events, 1)]


@pytest.mark.parametrize("last_event_id", ["abc", "-1", "1.5", "٣", "9" * 40, "adrf-sse-end", " 1", 10**15, -3])
async def test_an_id_that_the_broker_did_not_assign_causes_a_reset(last_event_id):
    await apublish("news", "before")
    if isinstance(last_event_id, int) and last_event_id > 0:
        last_event_id = await apublish("news", "last") + last_event_id
    async with subscribe("news", last_event_id=last_event_id) as events:
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": last_event_id})
        number = await apublish("news", "after")
        event = await anext(events)
        assert (event.data, event.id) == ("after", str(number))
    async with subscribe("news", last_event_id=reset.id) as events:
        assert (await anext(events)).data == "after"


async def test_an_unknown_id_that_utf_8_can_not_encode_causes_a_reset_without_it():
    async with subscribe("news", last_event_id="\udbfb") as events:
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": None})


async def test_an_id_older_than_the_history_causes_a_reset_and_the_whole_history():
    await apublish("news", "kept")
    async with subscribe("news", last_event_id=5) as events:
        assert [event.data for event in await take(events, 2)] == [{"last_event_id": 5}, "kept"]


@pytest.mark.parametrize("last_event_id", [None, ""])
async def test_without_a_last_event_id_only_new_events_are_sent(last_event_id):
    await apublish("news", "before")
    async with subscribe("news", last_event_id=last_event_id) as events:
        await apublish("news", "after")
        assert (await anext(events)).data == "after"


async def test_no_event_is_lost_or_repeated_between_history_and_new_events():
    """Publish at full speed while subscribers join and leave with random last event ids."""
    numbers = [await apublish("seam", 0)]
    done = asyncio.Event()

    async def publisher():
        for n in range(1, 200):
            numbers.append(await apublish("seam", n))
            await asyncio.sleep(0)
        done.set()

    async def subscriber(seed):
        choose = random.Random(seed)
        while not done.is_set():
            start = choose.randrange(len(numbers))
            async with subscribe("seam", "silent", last_event_id=numbers[start]) as events:
                got = [event.data for event in await take(events, min(choose.randrange(1, 60), 199 - start))]
            assert got == list(range(start + 1, start + 1 + len(got)))

    async with asyncio.TaskGroup() as group:
        group.create_task(publisher())
        for seed in range(20):
            group.create_task(subscriber(seed))
    assert subscriber_counts() == {}


async def test_events_can_be_published_from_the_event_loop_and_from_threads(broker):
    async with subscribe("news") as events:
        if broker == "postgres":
            with pytest.raises(SynchronousOnlyOperation, match=r"got called inside\. Call 'await apublish"):
                publish("news", "from the loop's thread")
            numbers = [await apublish("news", "from the loop's thread")]
        else:
            numbers = [publish("news", "from the loop's thread")]
        numbers.append(await asyncio.to_thread(closing(publish), "news", "from another thread"))
        numbers.append(await asyncio.to_thread(asyncio.run, apublish("news", "from another loop")))
        assert [int(event.id) for event in await take(events, 3)] == numbers


async def test_events_published_from_several_threads_arrive_in_order_of_id():
    barrier = threading.Barrier(4)

    @closing
    def work(name):
        barrier.wait()
        return [publish("news", name) for _ in range(50)]

    async with subscribe("news") as events:
        published = await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(4)))
        got = [int(event.id) for event in await take(events, 200)]
    assert got == sorted(number for numbers in published for number in numbers)


async def test_a_slow_subscriber_is_dropped_and_can_resume(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 5}
    async with subscribe("news") as slow, subscribe("news") as quick:
        for n in range(8):
            await apublish("news", n)
            assert (await anext(quick)).data == n
        got = await take(slow, 5)
        with pytest.raises(SubscriberLagged, match=r"more than MAX_SUBSCRIBER_BACKLOG events .* last_event_id=\d+\."):
            await anext(slow)
    assert [event.data for event in got] == list(range(5))
    async with subscribe("news", last_event_id=got[-1].id) as again:
        assert [event.data for event in await take(again, 3)] == [5, 6, 7]


async def test_subscribers_are_counted_and_leave_no_task_behind():
    async with subscribe("a", "b"), subscribe("b"):
        assert subscriber_counts() == {"a": 1, "b": 2}
        async with subscribe("a"):
            assert subscriber_counts() == {"a": 2, "b": 2}
    assert subscriber_counts() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_subscriber_leaves_no_task_behind():
    entered = asyncio.Event()

    async def subscriber():
        async with subscribe("news") as events:
            entered.set()
            await anext(events)

    task = asyncio.create_task(subscriber())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert subscriber_counts() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_subscriber_that_subscribes_again_misses_no_event():
    for n in range(20):
        async with subscribe("news") as events:
            await apublish("news", n)
            assert (await anext(events)).data == n


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "ä", "a\n", "x" * 201, "a*", pytest.param("\0", id="nul"), pytest.param("a\r\nb", id="crlf")],
)
async def test_invalid_channel_names_are_refused(name):
    words = "a channel's name must be 1 to 200 of the characters"
    with pytest.raises(ValueError, match=words):
        publish(name, "x")
    with pytest.raises(ValueError, match=words):
        await apublish(name, "x")
    with pytest.raises(ValueError, match=words):
        subscribe("good", name)


@pytest.mark.parametrize("name", [None, 5, b"a", ["a"]])
def test_channel_names_that_are_not_strings_are_refused(name):
    with pytest.raises(TypeError, match="a channel's name must be a str, got"):
        publish(name, "x")
    with pytest.raises(TypeError, match="a channel's name must be a str, got"):
        subscribe(name)


async def test_a_channel_name_can_contain_every_allowed_character():
    name = "azAZ09._:-"
    async with subscribe(name, "x" * 200) as events:
        await apublish(name, "x")
        assert (await anext(events)).channel == name


@pytest.mark.parametrize("count", [0, 101])
def test_the_number_of_channels_is_limited(count):
    with pytest.raises(ValueError, match=f"a subscriber must have 1 to 100 channels, got {count}"):
        subscribe(*(f"c{n}" for n in range(count)))


async def test_a_hundred_channels_are_allowed():
    names = [f"c{n}" for n in range(100)]
    first = await apublish("c0", "x")
    for name in names:
        await apublish(name, name)
    async with subscribe(*names, last_event_id=first) as events:
        assert [event.data for event in await take(events, 100)] == names


@pytest.mark.parametrize("last_event_id", [1.5, True, b"1", [1]])
def test_last_event_ids_of_other_types_are_refused(last_event_id):
    with pytest.raises(TypeError, match=r"last_event_id must be a str, an int or None, got .*view\.last_event_id"):
        subscribe("news", last_event_id=last_event_id)


async def test_an_event_that_can_not_be_encoded_is_refused_and_not_stored():
    first = await apublish("news", "first")
    for data, error in [(object(), TypeError), ({1, object()}, TypeError), ("\ud800", ValueError), (b"x", TypeError)]:
        with pytest.raises(error):
            publish("news", data)
    with pytest.raises(TypeError, match=r"Write publish\(channel, data, event=name\)"):
        publish("news", ServerSentEvent("x"))
    with pytest.raises(ValueError, match="event must be a single line"):
        publish("news", "x", event="a\nid: 5")
    await apublish("news", "second")
    async with subscribe("news", last_event_id=first) as events:
        assert (await anext(events)).data == "second"


async def test_an_event_larger_than_max_event_size_is_refused(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_EVENT_SIZE": 100}
    with pytest.raises(ValueError, match=r"at most 100 bytes, got 1\d\d\. .*ADRF_SSE\['MAX_EVENT_SIZE'\]"):
        publish("news", "x" * 100)
    assert await apublish("news", "x" * 80)


async def test_an_event_of_one_mebibyte_is_delivered():
    text = "x" * (1024 * 1024 - 100)
    async with subscribe("news") as events:
        await apublish("news", text)
        assert (await anext(events)).data == text


async def test_a_subscription_must_be_entered_once_before_it_is_read():
    subscription = subscribe("news")
    with pytest.raises(RuntimeError, match="must be entered first"):
        await anext(subscription)
    async with subscription:
        with pytest.raises(RuntimeError, match="must be entered once"):
            await subscription.__aenter__()
    assert subscriber_counts() == {}


def test_the_broker_is_created_once_until_the_settings_change(settings):
    broker = get_broker()
    assert get_broker() is broker
    settings.ADRF_SSE = dict(settings.ADRF_SSE)
    assert get_broker() is not broker


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (
            {"BACKEND": "shop.brokers.Ours"},
            r"\['BACKEND'\] must be .*, got 'shop.brokers.Ours': No module",
        ),
        ({"BACKEND": "adrf_sse.brokers.memory.Ours"}, r"\['BACKEND'\] must be .*: Module .* does not define"),
        ({"BACKEND": ".Ours"}, r"\['BACKEND'\] must be .*, got '.Ours': Empty module name"),
        ({"BACKEND": ".brokers.Ours"}, r"\['BACKEND'\] must be .*, got '.brokers.Ours': "),
        ({"BACKEND": "adrf_sse.settings.NAME"}, r"\['BACKEND'\] must be .*, which is a str\. Correct the path\."),
        (
            {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": {"url": "x"}},
            r"\['OPTIONS'\] must be what MemoryBroker takes, got url: .*'url'\. Correct them\.",
        ),
    ],
)
def test_a_broker_that_can_not_be_created_raises_improperly_configured(settings, chosen, words):
    settings.ADRF_SSE = {"BROKER": chosen}
    with pytest.raises(ImproperlyConfigured, match=words):
        get_broker()
    assert [(error.id, error.msg) for error in check_broker(None)] == [("adrf_sse.E003", ANY)]
    settings.ADRF_SSE = {"BROKER": 5}
    assert check_broker(None) == [], "another check reports this error already"


def test_ids_of_the_memory_broker_keep_increasing_after_a_restart():
    before = [MemoryBroker().publish("news", b"tx") for _ in range(3)]
    assert before == sorted(set(before))


@pytest.mark.django_db
def test_publishing_on_commit_waits_for_the_transaction(django_capture_on_commit_callbacks):
    numbers = []
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        transaction.on_commit(lambda: numbers.append(publish("orders.42", {"status": "paid"})))
        assert not numbers
    assert len(numbers) == 1


async def test_a_stream_from_the_current_event_id_receives_what_follows():
    await apublish("news", "before")
    position = await acurrent_event_id()
    assert await sync_to_async(current_event_id)() == position
    await apublish("news", "after")
    async with subscribe("news", last_event_id=position) as events:
        assert (await anext(events)).data == "after"


async def test_the_streams_of_a_user_do_not_receive_what_skips_the_user():
    ann, bob = User(pk=1), User(pk=2)
    async with subscribe("room", user=ann) as anns, subscribe("room", user=2) as bobs, subscribe("room") as others:
        await apublish("room", "by ann", skip_user=ann)
        await apublish("room", "by bob", skip_user=bob)
        await apublish("room", "by nobody", skip_user=AnonymousUser())
        assert [event.data for event in await take(anns, 2)] == ["by bob", "by nobody"]
        assert [event.data for event in await take(bobs, 2)] == ["by ann", "by nobody"]
        assert [event.data for event in await take(others, 3)] == ["by ann", "by bob", "by nobody"]


async def test_a_user_to_skip_whose_key_can_not_be_encoded_is_refused():
    with pytest.raises(ValueError, match="skip_user must be text that UTF-8 can encode"):
        await apublish("room", "mine", skip_user="\udc80")


async def test_history_is_read_without_the_events_that_skip_the_user():
    first = await apublish("room", "first")
    await apublish("room", "mine", skip_user="ann")
    await apublish("room", "theirs", event="said", skip_user="b\nob")
    async with subscribe("room", last_event_id=first, user="ann") as events:
        theirs = await anext(events)
        assert (theirs.event, theirs.data, theirs.skipped_user) == ("said", "theirs", "b\nob")
