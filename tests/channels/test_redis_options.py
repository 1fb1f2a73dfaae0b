"""Tests of the Redis broker's ``OPTIONS``."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import NewRun, Write
from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.checks.project import check_broker, check_settings
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.logs import wait_for_log
from tests.support.redis_server import RedisServer, redis_server

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "brokers" / "redis.md"


def use_options(settings, **options):
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://localhost"}, "can't read"),
        ({"url": "redis://localhost:port"}, "can't read"),
        ({"url": 6379}, "url must be a str, not a int"),
        ({"url": "redis://", "port": float("inf")}, "can't read"),
        ({"url": "redis://", "db": 10**5000}, "can't read"),
        ({"url": "redis://", "db": [1]}, "got an error"),
        ({"bogus": 1}, "'bogus'"),
        ({"sentinels": [("localhost", 26379)]}, "sentinels and service go together"),
        ({"service": "primary"}, "sentinels and service go together"),
        ({"sentinels": [("localhost", 26379)], "service": "primary", "bogus": 1}, "'bogus'"),
    ],
)
def test_invalid_options_are_refused_when_the_broker_is_created(settings, options, words):
    use_options(settings, **options)
    with pytest.raises(ImproperlyConfigured, match=rf"(?s)'OPTIONS'\] must be what redis-py takes.*{words}.*Correct"):
        get_broker()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefix": 10**5000}, "prefix must be a str"),
        ({"prefix": "\ud800"}, "prefix must be text that UTF-8 can encode"),
        ({"socket_timeout": "5"}, "socket_timeout must be a number of seconds or a timedelta"),
        ({"socket_connect_timeout": 0}, "socket_connect_timeout must be more than 0 seconds"),
        ({"url": "redis://localhost?socket_timeout=-1"}, "socket_timeout must be more than 0 seconds"),
    ],
)
def test_an_invalid_option_is_named(settings, options, words):
    use_options(settings, **options)
    with pytest.raises(ImproperlyConfigured, match=rf"'OPTIONS'\] is invalid: {words}, got"):
        get_broker()


async def test_a_timeout_in_the_url_holds_for_commands_and_for_the_listener(settings, records):
    with redis_server() as server:
        use_options(settings, url=f"{server.url}?socket_timeout=0.1")
        async with subscribe("news"):
            server.pause()
            with pytest.raises(BrokerUnavailable, match="Timeout"):
                await apublish("news", "x")
            await wait_for_log(records, "Redis must answer in 0.1 s, got silence")
            server.resume()


@pytest.mark.parametrize(
    "broker",
    [
        "redis://:hunter2@host",
        ["redis://:hunter2@host"],
        {"OPTIONS": {"url": "redis://:hunter2@host"}},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": "redis://:hunter2@host"},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": "redis://:hunter2/@host"}},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": "redis://host:hunter2"}},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": "http://:hunter2@host"}},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"password": "hunter2", "bogus": "hunter2"}},
        {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": ["hunter2"]}},
    ],
)
def test_an_error_in_the_settings_of_the_broker_contains_no_password(settings, broker):
    settings.ADRF_SSE = {"BROKER": broker}
    with pytest.raises(ImproperlyConfigured) as caught:
        get_broker()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)
    assert all("hunter2" not in str(message) for message in [*check_settings(None), *check_broker(None)])


@pytest.fixture(scope="module")
def protected_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path]]:
    """A Redis server with a password that also listens on a Unix socket."""
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    with redis_server("--save", "", "--unixsocket", str(socket)) as server:
        server.client.config_set("requirepass", "secret")
        yield server, socket


@pytest.mark.parametrize(
    ("options", "database", "prefix"),
    [
        ({"url": "redis://:secret@127.0.0.1:{port}/1"}, 1, "{adrf_sse}"),
        ({"url": "redis://127.0.0.1:{port}", "password": "secret", "db": 2}, 2, "{adrf_sse}"),
        ({"host": "127.0.0.1", "port": "{port}", "password": "secret", "db": 5}, 5, "{adrf_sse}"),
        ({"url": "unix://:secret@{socket}?db=3"}, 3, "{adrf_sse}"),
        ({"url": "redis://:secret@127.0.0.1:{port}", "prefix": "shop"}, 0, "{shop}"),
    ],
)
async def test_the_broker_connects_with_each_form_of_options(settings, protected_redis, options, database, prefix):
    server, socket = protected_redis
    for name in {"url", "port"} & options.keys():
        options[name] = options[name].format(port=server.port, socket=socket)
    use_options(settings, **options)
    async with subscribe("news") as events:
        numbers = [publish("news", "x"), await apublish("news", "x")]
        assert [int((await anext(events)).id) for _ in numbers] == numbers
    with Redis(port=server.port, password="secret", protocol=2, db=database) as client:
        assert client.exists(f"{prefix}:history:news")


async def test_a_timeout_may_be_a_timedelta(settings, protected_redis):
    url = f"redis://:secret@127.0.0.1:{protected_redis[0].port}/0"
    use_options(settings, url=url, socket_timeout=timedelta(seconds=30), socket_connect_timeout=timedelta(seconds=30))
    assert publish("news", "x") < await apublish("news", "x")


@pytest.mark.parametrize("user", [":wrong@", ""])
def test_the_error_says_whether_the_password_is_wrong_or_missing(settings, protected_redis, user):
    use_options(settings, url=f"redis://{user}127.0.0.1:{protected_redis[0].port}/0")
    with pytest.raises(BrokerUnavailable, match=r"[^.]\. (Give the password|Correct the user and password) in the URL"):
        publish("news", "x")


async def test_the_documented_acl_permissions_are_sufficient(settings, protected_redis):
    server, _ = protected_redis
    allowed = re.findall(r"\s`?([+~&][^\s`]+)", DOCUMENT.read_text().partition("An ACL user needs")[2].split("\n\n")[0])
    with Redis(port=server.port, password="secret", protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", *allowed)
    use_options(settings, url=f"redis://app:pw@127.0.0.1:{server.port}/4")
    async with subscribe("news", last_event_id=5) as events, subscribe("other"):
        numbers = [publish("news", "x"), await apublish("news", "x")]
        assert (await anext(events)).event == "reset"
        assert [int((await anext(events)).id) for _ in numbers] == numbers
    broker = get_broker()
    run = NewRun(id="a", owner=None, starter="s", queued=True, lease=60, key="k", endings={"failed": [], "stopped": []})
    await broker.runs.create(run)
    await broker.runs.claim("a", "s", 60)
    await broker.runs.write(Write(id="a", producer="s", lease=60, bodies=[b"tdata: a\n\n", b"t" + b"x" * 5000]))
    assert [found.status for found in await broker.runs.all(10)] == ["running"]
    assert await broker.runs.end("a", "stopped")
    await broker.runs.discard("a", "s")
    assert await broker.runs.read("a", 1) is None


def test_the_error_for_missing_permissions_refers_to_the_documentation(settings, protected_redis):
    server, _ = protected_redis
    with Redis(port=server.port, password="secret", protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "nobody", "reset", "on", ">pw", "+ping")
    use_options(settings, url=f"redis://nobody:pw@127.0.0.1:{server.port}/0")
    with pytest.raises(BrokerUnavailable, match=r"Allow its user the documented commands, .*/brokers/redis/#acl"):
        publish("news", "x")


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["CONFIG", "SET", "maxmemory", "1"], "Raise its maxmemory, or keep less"),
        (["REPLICAOF", "127.0.0.1", "1"], "Connect to the primary, not to a replica"),
    ],
)
def test_the_error_for_a_redis_that_rejects_writes_gives_the_cause(settings, command, hint):
    with redis_server() as server:
        use_options(settings, url=server.url)
        server.client.execute_command(*command)
        with pytest.raises(BrokerUnavailable, match=hint):
            publish("news", "x")
