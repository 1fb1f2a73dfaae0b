"""Tests of the management commands that publish and print events."""

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
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from redis import Redis

from adrf_sse.brokers import get_broker
from adrf_sse.channels import publish, subscribe
from tests.support.example import EXAMPLE, environment, manage
from tests.support.parameters import slow_except
from tests.support.redis_server import use_redis

EXIT_TIMEOUT = 30
"""Seconds to wait for a command to exit. A working command needs far less."""


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
        number = await sync_to_async(published)("news", *arguments)
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
def test_publish_refuses_an_invalid_event(settings, arguments, words):
    settings.ADRF_SSE = {"MAX_EVENT_SIZE": 100}
    output = StringIO()
    with pytest.raises(CommandError, match=words):
        call_command("sse_publish", *arguments, stdout=output)
    assert output.getvalue() == ""


def test_publish_says_what_to_check_if_redis_is_unavailable(settings):
    use_redis(settings, "redis://127.0.0.1:1/0")
    with pytest.raises(CommandError, match=r"Redis at 127\.0\.0\.1:1 must store the event, .* Check that it runs"):
        call_command("sse_publish", "news", "x", stdout=StringIO())


@pytest.mark.parametrize("command", [["sse_publish", "news", "x"], ["sse_tail", "news", "--last-event-id=0"]])
def test_commands_warn_if_the_broker_is_limited_to_one_process(broker, command):
    publish("news", "before")
    errors = StringIO()
    call_command(*command, stdout=InterruptingOutput(2), stderr=errors)
    warned = "only this process. Configure PostgresBroker or RedisBroker" in errors.getvalue()
    assert warned == get_broker().process_local


# sse_tail


class InterruptingOutput(StringIO):
    """Accept a number of lines of output, then raise ``KeyboardInterrupt``."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.getvalue().count("\n") >= self._lines:
            raise KeyboardInterrupt
        return written


def tailed(lines: int, *arguments: str) -> list[str]:
    output = InterruptingOutput(lines)
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
        publish("weather", "unrelated"),
        publish("news", ""),
    ]
    lines = tailed(5, "news", "sport", "--last-event-id", str(first))
    words = ["message plain", 'score {"goals":[1,0]}', "message two\\nlines", "message null", "message "]
    del numbers[4]
    assert lines == [f"{number} {text}" for number, text in zip(numbers, words, strict=True)]


@pytest.mark.usefixtures("broker")
def test_tail_prints_a_reset_if_events_are_no_longer_stored():
    number = publish("news", "kept")
    reset, kept = tailed(2, "news", "--last-event-id=5")
    assert reset.endswith(' reset {"last_event_id":5}')
    assert kept == f"{number} message kept"


def test_tail_prints_events_that_arrive_while_it_prints(settings):
    settings.ADRF_SSE = {"MAX_SUBSCRIBER_BACKLOG": 5}
    first = publish("news", "seen")
    publish("news", "0")

    class PublishingOutput(InterruptingOutput):
        def write(self, text: str) -> int:
            if text.endswith(" 0\n"):
                for number in range(1, 20):
                    publish("news", str(number))
            return super().write(text)

    output = PublishingOutput(20)
    call_command("sse_tail", "news", f"--last-event-id={first}", stdout=output, stderr=StringIO())
    assert [line.split()[-1] for line in output.getvalue().splitlines()] == [str(number) for number in range(20)]


@pytest.mark.parametrize("names", [["bad name"], ["good", "a/b"], [f"c{n}" for n in range(101)]])
def test_tail_refuses_invalid_channel_names(names):
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
    """Configure this process to publish to Redis, and return the URL."""
    use_redis(settings, redis_url, socket_timeout=30)
    return redis_url


@pytest.mark.server
@pytest.mark.parametrize("number", slow_except([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]))
def test_tail_prints_events_of_other_processes_until_a_signal_stops_it(tmp_path, redis, number):
    first = publish("news", "seen")
    missed = publish("news", {"n": 1}, event="story")
    with tail(tmp_path, redis, "news", "--last-event-id", str(first)) as process:
        assert process.stdout.readline() == f'{missed} story {{"n":1}}\n'
        live = manage("sse_publish", "news", "a b", database=tmp_path / "unused.sqlite3", redis_url=redis).strip()
        assert process.stdout.readline() == f"{live} message a b\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=EXIT_TIMEOUT)
    assert (output, errors) == ("", "")
    assert process.returncode == (0 if number == signal.SIGINT else -signal.SIGTERM)


@pytest.mark.server
def test_tail_without_an_id_starts_with_the_next_event(tmp_path, redis):
    publish("news", "before")
    with (
        Redis.from_url(redis, protocol=2, socket_timeout=50) as client,
        client.monitor() as monitor,
        tail(tmp_path, redis, "news") as process,
    ):
        commands = (command["command"].split()[0].upper() for command in monitor.listen())
        assert "SUBSCRIBE" in commands  # reads commands until this one
        assert "HMGET" in commands  # asks Redis for the id to start from
        number = publish("news", "after")
        assert process.stdout.readline() == f"{number} message after\n"


@pytest.mark.server
def test_tail_exits_quietly_when_its_output_is_closed(tmp_path, redis):
    first = publish("news", "seen")
    publish("news", "x")
    with tail(tmp_path, redis, "news", "--last-event-id", str(first)) as process:
        process.stdout.readline()
        process.stdout.close()
        publish("news", "unread")
        assert process.wait(EXIT_TIMEOUT) == 0
        assert process.stderr.read() == ""


@pytest.mark.server
def test_tail_reports_that_redis_is_unavailable_and_keeps_waiting(tmp_path):
    with tail(tmp_path, "redis://127.0.0.1:1/0", "news") as process:
        assert "Redis at 127.0.0.1:1 must accept a connection" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_TIMEOUT) == 0
        assert "Traceback" not in process.stderr.read()
