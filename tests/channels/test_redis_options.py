"""What ``OPTIONS`` of the Redis broker may say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

from adrf_sse.brokers import get_broker
from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.redis_server import RedisServer, redis_server

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "channels.md"


def use(settings, **options):
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://localhost"}, "redis://"),
        ({"url": "redis://localhost:port"}, "port"),
        ({"bogus": 1}, "'bogus'"),
        ({"sentinels": [("localhost", 26379)]}, "sentinels and service go together"),
        ({"service": "primary"}, "sentinels and service go together"),
        ({"sentinels": [("localhost", 26379)], "service": "primary", "bogus": 1}, "'bogus'"),
    ],
)
def test_options_that_can_not_be_are_refused_when_the_broker_is_made(settings, options, words):
    use(settings, **options)
    with pytest.raises(ImproperlyConfigured, match=rf"(?s)'OPTIONS'\] must be what redis-py takes.*{words}.*Correct"):
        get_broker()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path]]:
    """A Redis with a password, that listens on a socket in a folder too."""
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    with redis_server("--save", "", "--unixsocket", str(socket)) as server:
        server.client.config_set("requirepass", "secret")
        yield server, socket


@pytest.mark.parametrize(
    "options",
    [
        {"url": "redis://:secret@127.0.0.1:{port}/1"},
        {"url": "redis://127.0.0.1:{port}", "password": "secret", "db": 2},
        {"url": "unix://:secret@{socket}?db=3"},
        {"url": "redis://:secret@127.0.0.1:{port}", "prefix": "shop"},
    ],
)
async def test_events_pass_where_the_options_lead(settings, guarded, options):
    server, socket = guarded
    options["url"] = options["url"].format(port=server.port, socket=socket)
    use(settings, **options)
    async with subscribe("news") as events:
        numbers = [publish("news", "x"), await apublish("news", "x")]
        assert [int((await anext(events)).id) for _ in numbers] == numbers


@pytest.mark.parametrize("user", [":wrong@", ""])
def test_a_password_that_is_wrong_or_missing_is_named(settings, guarded, user):
    use(settings, url=f"redis://{user}127.0.0.1:{guarded[0].port}/0")
    with pytest.raises(BrokerUnavailable, match=r"[^.]\. (Give the password|Correct the user and password) in the URL"):
        publish("news", "x")


async def test_the_permissions_that_the_documentation_names_are_enough(settings, guarded):
    server, _ = guarded
    allowed = re.findall(r"\s`?([+~&][^\s`]+)", DOCUMENT.read_text().partition("An ACL user needs")[2].split("\n\n")[0])
    with Redis(port=server.port, password="secret", protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", *allowed)
    use(settings, url=f"redis://app:pw@127.0.0.1:{server.port}/4")
    async with subscribe("news", last_event_id=5) as events, subscribe("other"):
        numbers = [publish("news", "x"), await apublish("news", "x")]
        assert (await anext(events)).event == "reset"
        assert [int((await anext(events)).id) for _ in numbers] == numbers


def test_a_user_who_may_not_publish_is_told_where_it_says_what_to_allow(settings, guarded):
    server, _ = guarded
    with Redis(port=server.port, password="secret", protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "nobody", "reset", "on", ">pw", "+ping")
    use(settings, url=f"redis://nobody:pw@127.0.0.1:{server.port}/0")
    with pytest.raises(BrokerUnavailable, match=r"Allow its user the commands, .* docs/channels\.md lists\."):
        publish("news", "x")


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["CONFIG", "SET", "maxmemory", "1"], "Raise its maxmemory, or keep less"),
        (["REPLICAOF", "127.0.0.1", "1"], "Connect to the primary, not to a replica"),
    ],
)
def test_a_redis_that_takes_nothing_is_told_apart_from_one_that_is_away(settings, command, hint):
    with redis_server() as server:
        use(settings, url=server.url)
        server.client.execute_command(*command)
        with pytest.raises(BrokerUnavailable, match=hint):
            publish("news", "x")
