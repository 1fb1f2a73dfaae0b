"""A subscriber that misses events during an outage receives a reset if they have expired meanwhile."""

import pytest

from adrf_sse.channels import apublish, publish, subscribe
from tests.support.redis_server import redis_server, use_redis

HISTORY = "{adrf_sse}:history:news"
PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@pytest.fixture
def redis(settings):
    with redis_server(*PERSISTENT) as server:
        use_redis(settings, server.url)
        # Less than a restart takes. Redis deletes the history a second later, which the tests don't wait for.
        settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_TTL": 0.001}
        yield server


def restart(redis):
    redis.kill()
    redis.start()


def expire(redis):
    assert redis.client.pexpire(HISTORY, 0)
    restart(redis)


def publish_after_expiry(redis):
    expire(redis)
    publish("news", "kept")


def publish_after_outage(redis):
    """Let the next event trim the history."""
    restart(redis)
    publish("news", "kept")


@pytest.mark.parametrize("outage", [expire, publish_after_expiry, publish_after_outage])
async def test_events_that_expire_during_an_outage_are_announced_by_a_reset(redis, outage):
    async with subscribe("news") as events:
        first = await apublish("news", "first")
        assert (await anext(events)).data == "first"
        # This blocks the event loop, so the listener connects again only afterwards.
        redis.client.client_kill_filter(_type="pubsub")
        publish("news", "missed")
        outage(redis)
        reset = await anext(events)
        assert (reset.event, reset.data) == ("reset", {"last_event_id": first})
        if outage is not expire:
            assert (await anext(events)).data == "kept"
