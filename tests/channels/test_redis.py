"""Tests of the Redis broker, most of them while Redis is unavailable or restarts."""

import asyncio
import inspect
import logging
import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.redis import RedisBroker
from adrf_sse.channels import (
    acurrent_event_id,
    adisconnect,
    apublish,
    current_event_id,
    disconnect,
    publish,
    subscribe,
    subscriber_counts,
)
from adrf_sse.exceptions import BrokerUnavailable, RunConflict, RunNotFound
from adrf_sse.runs import run_state, start_run, stop_run
from tests.support.logs import wait_for_log
from tests.support.ports import refusing_server
from tests.support.redis_server import redis_server, use_redis

PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@pytest.fixture
def redis(request, settings):
    """A Redis server for one test; the parameter holds its command line options."""
    with redis_server(*getattr(request, "param", ())) as server:
        use_redis(settings, server.url)
        yield server


async def publish_when_available(data):
    """Publish ``data`` as soon as Redis accepts it."""
    while True:
        try:
            return await apublish("news", data)
        except BrokerUnavailable:
            continue


def connection_error(server):
    return f"Failed at receiving events from Redis, and will try again: Redis at 127.0.0.1:{server.port} must"


@pytest.mark.parametrize("redis", [PERSISTENT], indirect=True)
async def test_subscribers_catch_up_after_redis_is_killed_and_restarted(redis, records):
    async with subscribe("news") as events:
        await apublish("news", 1)
        assert (await anext(events)).data == 1
        redis.kill()
        await wait_for_log(records, connection_error(redis))
        with pytest.raises(BrokerUnavailable, match=r"got .*Check that it runs and can be reached\."):
            await apublish("news", "lost")
        with pytest.raises(BrokerUnavailable, match=rf"Redis at 127\.0\.0\.1:{redis.port} must store the event"):
            publish("news", "lost")
        redis.start()
        last = await publish_when_available(2)  # possibly before the listener has reconnected
        await publish_when_available(3)
        assert [(await anext(events)).data, (await anext(events)).data] == [2, 3]
    errors = [record.getMessage() for record in records() if record.levelno >= logging.ERROR]
    assert [text.split(": ")[0] for text in errors] == [
        "Failed at receiving events from Redis, and will try again",
        "Failed at publishing",
    ]
    async with subscribe("news", last_event_id=last) as events:
        assert (await anext(events)).data == 3


@pytest.mark.parametrize("redis", [PERSISTENT], indirect=True)
async def test_a_subscription_entered_while_redis_is_down_receives_missed_events_afterwards(redis):
    first = await apublish("news", 1)
    await apublish("news", 2)
    redis.kill()
    subscription = subscribe("news", last_event_id=first)
    entering = asyncio.create_task(subscription.__aenter__())
    redis.start()
    events = await entering
    assert (await anext(events)).data == 2
    await subscription.__aexit__(None, None, None)
    assert subscriber_counts() == {}


async def test_a_subscriber_can_leave_while_redis_is_down(redis, records):
    async with subscribe("news"):
        redis.kill()
        await wait_for_log(records, connection_error(redis))
    entering = asyncio.create_task(subscribe("news").__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert subscriber_counts() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_subscribers_receive_a_reset_if_redis_restarts_without_its_data(redis, records):
    async with subscribe("news") as events:
        number = await apublish("news", 1)
        assert (await anext(events)).data == 1
        redis.kill()
        await wait_for_log(records, connection_error(redis))
        redis.start()
        await publish_when_available(2)
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": number})
        event = await anext(events)
        assert event.data == 2
        assert int(event.id) > number, "ids keep increasing"
    async with subscribe("news", last_event_id=number) as events:
        assert (await anext(events)).event == "reset"


async def test_subscribers_catch_up_after_redis_has_hung(redis, records, settings):
    use_redis(settings, redis.url, socket_timeout=1)
    async with subscribe("news") as events:
        await apublish("news", 1)
        assert (await anext(events)).data == 1
        redis.pause()
        with pytest.raises(BrokerUnavailable, match="must store the event, got TimeoutError"):
            await apublish("news", 2)  # the command waits in the socket and runs when Redis continues
        await wait_for_log(records, "Failed at receiving events from Redis")
        redis.resume()
        await publish_when_available(3)
        assert [(await anext(events)).data, (await anext(events)).data] == [2, 3]


async def test_subscribers_miss_nothing_when_the_listeners_connection_is_killed(redis, records):
    async with subscribe("news", "other") as events, subscribe("news") as others:
        for n in range(5):
            redis.client.client_kill_filter(_type="pubsub")
            await apublish("news", n)
            assert (await anext(events)).data == n
            assert (await anext(others)).data == n
        await wait_for_listeners(redis, 2)


async def wait_for_listeners(redis, *channel_counts):
    """Wait until exactly these connections listen, each to the given number of channels."""
    expected = [*channel_counts]
    while sorted(int(client["sub"]) for client in redis.client.client_list() if client["sub"] != "0") != expected:
        await asyncio.sleep(0)


async def test_events_published_while_the_listener_reconnects_arrive_once(redis):
    async def publisher():
        for n in range(500):
            if n % 50 == 0:
                redis.client.client_kill_filter(_type="pubsub")
            await apublish("news", n)

    async with subscribe("news") as events, subscribe("news", "more") as others:
        publishing = asyncio.create_task(publisher())
        for subscriber in (events, others):
            assert [(await anext(subscriber)).data for _ in range(500)] == list(range(500))
        await publishing


async def test_publishing_fails_with_a_hint_while_redis_is_out_of_memory(redis):
    async with subscribe("news") as events:
        first = await apublish("news", 1)
        redis.client.config_set("maxmemory", 1)
        hint = r"maxmemory.* Raise its maxmemory, or keep less with CHANNEL_HISTORY"
        with pytest.raises(BrokerUnavailable, match=hint):
            await apublish("news", "x" * 1000)
        with pytest.raises(BrokerUnavailable, match=hint):
            publish("news", "x" * 1000)
        async with subscribe("news", last_event_id=first - 1) as others:
            assert (await anext(others)).data == 1
        redis.client.config_set("maxmemory", 0)
        await apublish("news", 2)
        assert [(await anext(events)).data, (await anext(events)).data] == [1, 2]


async def test_a_long_outage_is_logged_once(redis, records):
    async with subscribe("news") as events:
        redis.kill()
        with refusing_server(redis.port) as attempts:
            for _ in range(5):
                await asyncio.to_thread(attempts.get)
        redis.start()
        await publish_when_available("back")
        assert (await anext(events)).event == "reset"
        assert (await anext(events)).data == "back"
        await wait_for_log(records, "Succeeded again at receiving events from Redis")
    about_listening = [record for record in records() if "receiving events from Redis" in record.getMessage()]
    assert [record.levelname for record in about_listening] == ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("publishing", lambda: publish("news", 1)),
        ("publishing", lambda: apublish("news", 1)),
        ("asking for the current event ID", current_event_id),
        ("asking for the current event ID", acurrent_event_id),
        ("ending streams", lambda: disconnect(channel="news")),
        ("ending streams", lambda: adisconnect(channel="news")),
        ("starting a run", lambda: start_run(iter("a"), run_id="r1")),
        ("reading the state of a run", lambda: run_state("r1")),
        ("stopping a run", lambda: stop_run("r1")),
    ],
)
async def test_calls_that_fail_are_logged_once_with_their_cause(redis, records, action, call):
    """A view that does not catch the error is answered with 503, and Django logs only the path."""

    async def succeeds():
        try:
            result = call()
            if inspect.isawaitable(result):
                await result
        except BrokerUnavailable:
            return False
        except (RunConflict, RunNotFound):
            pass  # Redis has answered
        return True

    redis.kill()
    for _ in range(3):
        assert not await succeeds()
    redis.start()
    while not await succeeds():
        pass
    assert await succeeds()
    texts = [record.getMessage() for record in records()]
    failure, success = [text for text in texts if re.search(f" at {action}[:,] ", text)]
    cause = re.escape(f"Failed at {action}: Redis at 127.0.0.1:{redis.port} must ")
    assert re.fullmatch(cause + r".*, got .* Check that it runs and can be reached\.", failure)
    assert re.fullmatch(rf"Succeeded again at {action}, after \d+ failures\.", success)


async def test_publishing_takes_one_round_trip(redis):
    await apublish("news", 1)  # loads the script into Redis
    redis.client.config_resetstat()
    for n in range(5):
        await apublish("news", n)
        publish("news", n)
    statistics = redis.client.info("commandstats")
    inside_script = {"hmget", "hset", "time", "xrevrange", "xadd", "xtrim", "pexpire", "publish"}
    assert statistics["cmdstat_evalsha"]["calls"] == 10
    assert {name.removeprefix("cmdstat_") for name in statistics} - inside_script - {"config|resetstat", "info"} <= {
        "evalsha",
        "hello",
        "auth",
        "client|setinfo",
        "select",
    }


async def test_history_is_bounded_in_redis(settings, redis):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5}
    for n in range(12):
        await apublish("news", n)
    key = "{adrf_sse}:history:news"
    assert redis.client.xlen(key) == 5
    assert 0 < redis.client.pttl(key) <= 86_401_000


async def test_projects_are_separated_by_prefix_and_by_database(redis):
    default, other = RedisBroker(redis.url), RedisBroker(redis.url, prefix="other")
    elsewhere = RedisBroker(redis.url.replace("/0", "/1"))
    received = []

    class Receiver:
        def receive(self, event):
            received.append(event.frame)

        def resync(self):
            raise AssertionError

    listener = default.listen(Receiver(), asyncio.get_running_loop())
    await listener.subscribe(["news"])
    other.publish("news", b"tdata: other\n\n")
    elsewhere.publish("news", b"tdata: elsewhere\n\n")
    number = default.publish("news", b"tdata: ours\n\n")
    while not received:
        await asyncio.sleep(0)
    await listener.aclose()
    assert received == [b"id: %d\ndata: ours\n\n" % number]
    assert {key.split(b":")[0] for key in redis.client.scan_iter()} == {b"{adrf_sse}", b"{other}"}


async def test_the_error_for_a_wrong_password_says_what_to_correct(redis, settings):
    redis.client.config_set("requirepass", "secret")
    use_redis(settings, redis.url)
    with pytest.raises(BrokerUnavailable, match=r"Give the password in the URL"):
        publish("news", "x")
    use_redis(settings, redis.url.replace("redis://", "redis://:wrong@"))
    with pytest.raises(BrokerUnavailable, match=r"Correct the user and password in the URL") as refusal:
        await apublish("news", "x")
    assert "wrong@" not in str(refusal.value)
    use_redis(settings, redis.url.replace("redis://", "redis://:secret@"))
    assert publish("news", "x")


async def test_the_broker_finds_the_primary_through_sentinel(redis, settings, tmp_path):
    with redis.sentinel(tmp_path, "ours") as port:
        options = {"sentinels": [("127.0.0.1", port)], "service": "ours"}
        broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}
        settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}
        async with subscribe("news") as events:
            numbers = [await apublish("news", 1), publish("news", 2)]
            assert [int((await anext(events)).id) for _ in range(2)] == numbers


def test_broker_unavailable_is_a_503_that_does_not_mention_redis():
    error = BrokerUnavailable("Redis at 10.0.0.1 must store the event, got …")
    assert error.status_code == 503
    assert "Redis" not in str(error.detail)
    assert str(error).startswith("Redis at 10.0.0.1")


@pytest.mark.parametrize("options", [{"url": "http://x"}, {"url": "redis://h:p"}, {"nonsense": 1}])
def test_invalid_options_are_refused(settings, options):
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}
    settings.ADRF_SSE = {**settings.ADRF_SSE, "BROKER": broker}
    with pytest.raises(ImproperlyConfigured, match=r"ADRF_SSE\['BROKER'\]\['OPTIONS'\] must be what redis-py takes"):
        get_broker()


async def test_the_connection_closes_when_the_last_subscriber_leaves(redis):
    async with subscribe("a"), subscribe("b"):
        await wait_for_listeners(redis, 2)
    await wait_for_listeners(redis)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_channel_is_unsubscribed_when_its_last_subscriber_leaves(redis):
    async with subscribe("a"):
        async with subscribe("b"):
            await wait_for_listeners(redis, 2)
        await wait_for_listeners(redis, 1)
