"""Live lists while Redis is unavailable or restarts."""

import logging

import pytest

from adrf_sse.brokers import get_broker
from tests.channels.test_redis import PERSISTENT, connection_error, wait_for_log
from tests.live.test_live_lists import changes, snapshot_of, watch
from tests.project.orders.models import Order
from tests.support.redis_server import redis_server, use_redis


@pytest.fixture(params=[PERSISTENT, ("--save", "")], ids=["persistent", "volatile"])
def redis(request, settings):
    settings.ROOT_URLCONF = "tests.project.orders.views"
    with redis_server(*request.param) as server:
        use_redis(settings, server.url)
        yield server
        get_broker()._client._client.close()  # the connection on which the test announced


@pytest.mark.django_db(transaction=True)
async def test_rows_that_could_not_be_announced_are_read_when_redis_is_available_again(redis, caplog):
    caplog.set_level(logging.INFO, "adrf_sse")
    async with watch() as stream:
        await snapshot_of(stream)
        for number in "12":  # the first time, the group of clients may still be about to follow the announcements
            redis.kill()
            await wait_for_log(lambda: caplog.records, connection_error(redis), count=int(number))
            await Order.objects.acreate(item=f"unannounced {number}")
            redis.start()
            assert [data["item"] for _, data in await changes(stream, 1)] == [f"unannounced {number}"]
        await Order.objects.acreate(item="announced")
        assert [data["item"] for _, data in await changes(stream, 1)] == ["announced"]
    assert "Could not announce rows that were saved to live lists" in caplog.text
