"""What other programs write to the broker's Redis is skipped and logged, and the broker's own events arrive."""

import random
from time import time

import pytest

from adrf_sse.brokers.messages import message_body
from adrf_sse.brokers.redis.foreign import ForeignData
from adrf_sse.channels import apublish, subscribe
from tests.support.redis_server import use_redis

PUBSUB, HISTORY = "{adrf_sse}:0:news", "{adrf_sse}:history:news"
MALFORMED = [
    b"",
    b"x",
    b"j",
    b"tdata: x",
    b"tdata: x\n\nid: 5\n\n",
    b"tdata: x\r\n\n",
    b"tdata: \xff\n\n",
    b"tid: 5\ndata: x\n\n",
    b"jdata: {\n\n",
    b"jdata: " + b"[" * 100_000 + b"\n\n",
    b"Jann",
    b"T\xff\ndata: x\n\n",
    b"tevent: \xff\ndata: x\n\n",
]


@pytest.fixture
def redis(redis_url, shared_redis, settings):
    use_redis(settings, redis_url, socket_timeout=30)
    return shared_redis.client


def warnings(caplog):
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    return [record.getMessage() for record in caplog.records if "publish() writes" in record.getMessage()]


@pytest.mark.parametrize("number", ["9999999999999999", str(10**30), "9" * 5000])
async def test_an_id_of_the_far_future_does_not_silence_a_channel(redis, caplog, number):
    async with subscribe("news") as events, subscribe("other", "news") as others:
        for n in range(3):
            redis.publish(PUBSUB, f"{number}:tdata: foreign\n\n")
            await apublish("news", {"n": n})
            assert [(await anext(events)).data, (await anext(others)).data] == [{"n": n}, {"n": n}]
    assert len(warnings(caplog)) == 1


async def test_an_id_of_the_near_future_causes_a_reset_as_soon_as_an_event_follows(redis, caplog):
    async with subscribe("news") as events:
        first = await apublish("news", "first")
        redis.publish(PUBSUB, f"{first + 30_000_000}:tdata: foreign\n\n")
        await apublish("news", "second")
        assert [(await anext(events)).data for _ in range(2)] == ["first", "foreign"]
        assert (await anext(events)).event == "reset"
        await apublish("news", "third")
        assert (await anext(events)).data == "third"
    assert len(warnings(caplog)) == 1


async def test_an_id_of_the_past_is_skipped(redis, caplog):
    async with subscribe("news") as events:
        first = await apublish("news", "first")
        redis.publish(PUBSUB, f"{first - 1}:tdata: foreign\n\n")
        await apublish("news", "second")
        assert [(await anext(events)).data for _ in range(2)] == ["first", "second"]
    assert len(warnings(caplog)) == 1


async def test_a_clock_that_is_behind_that_of_redis_loses_no_event(redis, monkeypatch, caplog):
    monkeypatch.setattr("adrf_sse.brokers.redis.listener.time", lambda: time() - 86_400)
    async with subscribe("news") as events, subscribe("news", "other") as others:
        for n in range(20):
            await apublish("news", {"n": n})
            if n % 3 == 0:
                assert [(await anext(events)).data["n"] for _ in range(3 if n else 1)] == [*range(max(n - 2, 0), n + 1)]
        assert [(await anext(others)).data["n"] for _ in range(20)] == [*range(20)]
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_event_is_skipped(redis, caplog, body):
    first = await apublish("news", "first")
    async with subscribe("news") as events:
        redis.publish(PUBSUB, b"%d:" % (time() * 1_000_000) + body)
        redis.xadd(HISTORY, {"p": first, "b": body}, id=first + 1)
        await apublish("news", "second")
        assert (await anext(events)).data == "second"
    async with subscribe("news", last_event_id=first) as events:
        assert (await anext(events)).data == "second"
    assert len(warnings(caplog)) == 1


async def test_many_foreign_entries_are_skipped_page_by_page(redis, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_SUBSCRIBER_BACKLOG": 5}
    first = await apublish("news", "first")
    for n in range(40):
        fields = {"p": first, "b": "foreign"} if n % 3 else {"x": n}
        redis.xadd(HISTORY, fields, id=f"{first + 1 + n // 4}-{n}")
    async with subscribe("news", "other", last_event_id=first) as events:
        await apublish("news", "second")
        assert (await anext(events)).data == "second"


async def test_foreign_entries_before_all_events_cause_a_reset(redis):
    first = await apublish("news", "first")
    redis.delete(HISTORY)
    redis.xadd(HISTORY, {"b": "foreign"}, id=first)
    await apublish("news", "second")
    for last_id in (first - 1, first):
        async with subscribe("news", last_event_id=last_id) as events:
            assert [(await anext(events)).event, (await anext(events)).data] == ["reset", "second"]


async def test_an_entry_of_the_far_future_does_not_silence_a_channel(redis):
    first = await apublish("news", "first")
    redis.xadd(HISTORY, {"p": first, "b": "foreign"}, id=first + 10**15)
    async with subscribe("news", last_event_id=first) as events:
        for n in range(3):
            await apublish("news", n)
            assert (await anext(events)).data == n


@pytest.mark.parametrize("user", [None, "", "ann", "Ann Bé\n"])
@pytest.mark.parametrize("event", [None, "order", "späť 1: 2"])
@pytest.mark.parametrize(
    "data", ["", "\n", " a\r\nb\rc\n\n", "\u2028\x00\ufeff", None, 0, {"a": [1.5e300, "\n"]}, [[]]]
)
def test_each_event_of_the_broker_is_recognized(user, event, data):
    received = ForeignData().event("news", b"5", message_body(data, event, skip_user=user))
    assert received is not None
    assert (received.event, received.skipped_user) == (event, user)
    if data is None or not isinstance(data, str):
        assert received.data == data


async def test_random_bytes_in_redis_stop_no_reader(redis):
    choose = random.Random()
    first = last = await apublish("news", "first")
    async with subscribe("news") as events:
        for n in range(100):
            number = choose.choice([b"", b"x", b"-1", b"%d" % last, choose.randbytes(20), b"%d" % (last + 1)])
            redis.publish(PUBSUB, number + choose.choice([b":", b""]) + choose.randbytes(choose.randrange(100)))
            names = choose.sample([b"p", b"b", b"x", choose.randbytes(3)], choose.randrange(1, 5))
            redis.xadd(HISTORY, {name: choose.randbytes(choose.randrange(100)) for name in names})
            last = await apublish("news", n)
            event = await anext(events)
            assert event.data == n
    async with subscribe("news", last_event_id=first) as events:
        got = [await anext(events) for _ in range(100)]
        assert [event.data for event in got if event.event is None] == list(range(100))
