"""The commands that publish and print events."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from adrf_sse.brokers import get_broker
from adrf_sse.channels import publish, subscribe
from tests.support.example import EXAMPLE, environment, manage
from tests.support.redis_server import use_redis

EXIT_TIMEOUT = 30
"""Seconds that a command may take to end. Only a broken one takes them."""


def published(*arguments: str, **options: Any) -> int:
    output = StringIO()
    call_command("sse_publish", *arguments, stdout=output, stderr=StringIO(), **options)
    assert re.fullmatch(r"\d+\n", output.getvalue())
    return int(output.getvalue())


# sse_publish


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("arguments", "event", "data"),
    [
        (["plain text"], None, "plain text"),
        (['{"a": 1}'], None, '{"a": 1}'),
        (['{"a": 1}', "--json"], None, {"a": 1}),
        (["null", "--json", "--event", "gone"], "gone", None),
        (["two\nlines", "--event=note"], "note", "two\nlines"),
        ([""], None, ""),
        (["--", "-h"], None, "-h"),
    ],
)
async def test_publish_publishes_and_prints_the_id(arguments, event, data):
    async with subscribe("news") as events:
        number = published("news", *arguments)
        got = await anext(events)
    assert (got.event, got.data, got.id) == (event, data, str(number))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["news", "{a: 1}", "--json"], r"DATA must be JSON with --json, got '\{a: 1\}': .*\. Quote it for the shell\."),
        (["news", "NaN", "--json"], "JSON"),
        (["bad name", "x"], "a channel's name must be 1 to 200 of the characters"),
        (["news", "x", "--event", "two\nlines"], "event must be a single line"),
        (["news", "x" * 200], r"ADRF_SSE\['MAX_EVENT_SIZE'\]"),
        (["news"], "the following arguments are required: data"),
    ],
)
def test_publish_refuses_what_can_not_be_published(settings, arguments, words):
    settings.ADRF_SSE = {"MAX_EVENT_SIZE": 100}
    output = StringIO()
    with pytest.raises(CommandError, match=words):
        call_command("sse_publish", *arguments, stdout=output)
    assert output.getvalue() == ""


def test_publish_says_what_to_check_where_redis_is_away(settings):
    use_redis(settings, "redis://127.0.0.1:1/0")
    with pytest.raises(CommandError, match=r"Redis at 127\.0\.0\.1:1 must store the event, .* Check that it runs"):
        call_command("sse_publish", "news", "x", stdout=StringIO())


@pytest.mark.parametrize("command", [["sse_publish", "news", "x"], ["sse_tail", "news", "--last-event-id=0"]])
def test_commands_say_where_the_broker_reaches_only_their_process(broker, command):
    publish("news", "before")
    errors = StringIO()
    call_command(*command, stdout=Interrupting(2), stderr=errors)
    said = "only this process. Configure RedisBroker" in errors.getvalue()
    assert said == get_broker().process_local


# sse_tail


class Interrupting(StringIO):
    """Take some lines of output, then press Ctrl-C."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.getvalue().count("\n") >= self._lines:
            raise KeyboardInterrupt
        return written


def tailed(lines: int, *arguments: str) -> list[str]:
    output = Interrupting(lines)
    call_command("sse_tail", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue().splitlines()


@pytest.mark.usefixtures("broker")
def test_tail_prints_a_line_for_each_event():
    first = publish("news", "seen")
    numbers = [
        publish("news", "plain"),
        publish("sport", {"goals": [1, 0]}, event="score"),
        publish("news", "two\nlines"),
        publish("news", None),
        publish("weather", "not asked for"),
        publish("news", ""),
    ]
    lines = tailed(5, "news", "sport", "--last-event-id", str(first))
    words = ["message plain", 'score {"goals":[1,0]}', "message two\\nlines", "message null", "message "]
    del numbers[4]
    assert lines == [f"{number} {text}" for number, text in zip(numbers, words, strict=True)]


@pytest.mark.usefixtures("broker")
def test_tail_tells_of_what_is_no_longer_kept():
    number = publish("news", "kept")
    reset, kept = tailed(2, "news", "--last-event-id=5")
    assert reset.endswith(' reset {"last_event_id":5}')
    assert kept == f"{number} message kept"


def test_tail_prints_all_that_comes_while_it_prints(settings):
    settings.ADRF_SSE = {"MAX_SUBSCRIBER_BACKLOG": 5}
    first = publish("news", "seen")
    publish("news", "0")

    class Busy(Interrupting):
        def write(self, text: str) -> int:
            if text.endswith(" 0\n"):
                for number in range(1, 20):
                    publish("news", str(number))
            return super().write(text)

    output = Busy(20)
    call_command("sse_tail", "news", f"--last-event-id={first}", stdout=output, stderr=StringIO())
    assert [line.split()[-1] for line in output.getvalue().splitlines()] == [str(number) for number in range(20)]


@pytest.mark.parametrize("names", [["bad name"], ["good", "a/b"], [f"c{n}" for n in range(101)]])
def test_tail_refuses_bad_names(names):
    with pytest.raises(CommandError, match=r"a channel's name must be|must have 1 to 100 channels"):
        call_command("sse_tail", *names, stdout=StringIO(), stderr=StringIO())


# sse_tail as a process


@contextmanager
def tail(tmp_path: Path, redis_url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sse_tail", *arguments],
        cwd=EXAMPLE,
        env=os.environ | environment(tmp_path / "unused.sqlite3", redis_url=redis_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def redis(settings: Any, redis_url: str) -> str:
    """A Redis that this process publishes to."""
    use_redis(settings, redis_url)
    return redis_url


@pytest.mark.server
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_tail_prints_what_others_publish_until_it_is_ended(tmp_path, redis, how):
    first = publish("news", "seen")
    missed = publish("news", {"n": 1}, event="story")
    with tail(tmp_path, redis, "news", "--last-event-id", str(first)) as process:
        assert process.stdout.readline() == f'{missed} story {{"n":1}}\n'
        live = manage("sse_publish", "news", "a b", database=tmp_path / "unused.sqlite3", redis_url=redis).strip()
        assert process.stdout.readline() == f"{live} message a b\n"
        process.send_signal(how)
        output, errors = process.communicate(timeout=EXIT_TIMEOUT)
    assert (output, errors) == ("", "")
    assert process.returncode == (0 if how == signal.SIGINT else -signal.SIGTERM)


@pytest.mark.server
def test_tail_without_an_id_begins_with_what_is_published_next(tmp_path, redis):
    publish("news", "before")
    with (
        Redis.from_url(redis, protocol=2) as client,
        client.monitor() as monitor,
        tail(tmp_path, redis, "news") as process,
    ):
        commands = (command["command"].split()[0].upper() for command in monitor.listen())
        assert "SUBSCRIBE" in commands  # takes commands until there is one
        assert "HMGET" in commands  # Redis tells where it begins
        number = publish("news", "after")
        assert process.stdout.readline() == f"{number} message after\n"


@pytest.mark.server
def test_tail_ends_quietly_when_its_reader_has_left(tmp_path, redis):
    first = publish("news", "seen")
    publish("news", "x")
    with tail(tmp_path, redis, "news", "--last-event-id", str(first)) as process:
        process.stdout.readline()
        process.stdout.close()
        publish("news", "nobody reads this")
        assert process.wait(EXIT_TIMEOUT) == 0
        assert process.stderr.read() == ""


@pytest.mark.server
def test_tail_says_that_redis_is_away_and_waits_for_it(tmp_path):
    with tail(tmp_path, "redis://127.0.0.1:1/0", "news") as process:
        assert "Redis at 127.0.0.1:1 must accept a connection" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_TIMEOUT) == 0
        assert "Traceback" not in process.stderr.read()
