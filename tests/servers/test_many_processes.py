"""Tests of channels with four workers, a publisher in a fifth process, and a hundred subscribers."""

import asyncio
import json
import re
import signal
import sys

import pytest

from adrf_sse.brokers.redis import RedisBroker
from tests.servers.test_servers import ROOT, UVICORN
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(180)]

SUBSCRIBERS = 100
WORKERS = 4
EVENTS = 1000

PUBLISHER = """
import sys
import django
django.setup()
from adrf_sse.channels import publish
number = 0
for line in sys.stdin:
    for _ in range(int(line)):
        publish("many", number)
        number += 1
    print(number, flush=True)
"""


class Subscriber:
    """Read a channel over HTTP, and reconnect with the last event id whenever the response ends."""

    def __init__(self, url):
        self._host, self._port = url.removeprefix("http://").split(":")
        self._events = re.compile(rb"id: (\d+)\n(?:event: ready\ndata: {}|data: (\d+))\n\n")
        self._last_id = b""
        self.connected = asyncio.Event()
        self.connections = 0
        self.numbers = []
        self._received = asyncio.Event()

    async def reached(self, number):
        """Wait until the subscriber has received a number."""
        while not self.numbers or self.numbers[-1] < number:
            self._received.clear()
            await self._received.wait()

    async def run(self, is_last):
        while not self.numbers or not is_last(self.numbers[-1]):
            try:
                await self._connection(is_last)
            except ConnectionError:
                continue  # the worker that had accepted the connection exited

    async def _connection(self, is_last):
        reader, writer = await asyncio.open_connection(self._host, int(self._port), limit=2**20)
        try:
            writer.write(b"GET /channels/many/ HTTP/1.0\r\nLast-Event-ID: %s\r\n\r\n" % self._last_id)
            try:
                assert b"200" in await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            self.connections += 1
            await self._read(reader, is_last)
        finally:
            writer.close()

    async def _read(self, reader, is_last):
        rest = b""
        while chunk := await reader.read(2**20):
            whole, mark, rest = (rest + chunk).rpartition(b"\n\n")
            for number, data in self._events.findall(whole + mark):
                self._last_id = number
                if data:
                    self.numbers.append(int(data))
            self._received.set()
            if self._last_id:
                self.connected.set()
            if self.numbers and is_last(self.numbers[-1]):
                return


@pytest.fixture
async def publisher(redis_url):
    """A process that publishes as many events as are written to it, and says how many there are."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUBLISHER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=environment(redis_url), cwd=ROOT,
    )  # fmt: skip

    async def publish(count):
        process.stdin.write(b"%d\n" % count)
        return int(await process.stdout.readline())

    yield publish
    process.stdin.close()
    await process.wait()


def environment(redis_url):
    settings = {
        "BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": redis_url}},
        "CHANNEL_HISTORY": 100_000,
    }
    return {
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "TEST_ADRF_SSE": json.dumps(settings),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def server(redis_url):
    command = [*UVICORN, "--workers", str(WORKERS), "--log-level", "info", "--no-access-log"]
    # On a busy machine, uvicorn would abort a restart whose new worker is not ready within 5 seconds.
    command += ["--timeout-worker-healthcheck", "150"]
    with serve(command, env=environment(redis_url), cwd=ROOT) as server:
        yield server


async def test_each_subscriber_receives_each_event_once_and_in_order(server, publisher):
    subscribers = [Subscriber(server.url) for _ in range(SUBSCRIBERS)]
    async with asyncio.TaskGroup() as group:
        for subscriber in subscribers:
            group.create_task(subscriber.run(lambda number: number == EVENTS - 1))
        for subscriber in subscribers:
            await subscriber.connected.wait()
        assert await publisher(EVENTS) == EVENTS
    for subscriber in subscribers:
        assert subscriber.numbers == list(range(EVENTS))
    assert "Traceback" not in server.output


async def test_clients_that_reconnect_while_workers_restart_miss_no_event(server, publisher):
    total = None
    subscribers = [Subscriber(server.url) for _ in range(SUBSCRIBERS)]
    async with asyncio.TaskGroup() as group:
        for subscriber in subscribers:
            group.create_task(subscriber.run(lambda number: number + 1 == total))
        for subscriber in subscribers:
            await subscriber.connected.wait()
        server.process.send_signal(signal.SIGHUP)
        while server.output.count("Finished server process") < WORKERS:
            published = await publisher(20)
            for subscriber in subscribers:  # else, on a busy machine, nothing else would have a turn
                await subscriber.reached(published - 1)
        total = max(published, EVENTS) + 1
        assert await publisher(total - published) == total
    for subscriber in subscribers:
        assert subscriber.numbers == list(range(total))
    assert sum(subscriber.connections for subscriber in subscribers) >= 2 * SUBSCRIBERS


async def test_a_command_ends_the_streams_of_all_workers(server, redis_url):
    ended = [await open_stream(server, "many") for _ in range(40)]
    kept = [await open_stream(server, "other") for _ in range(10)]
    command = [sys.executable, "-m", "django", "sse_disconnect", "--channel", "many"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=environment(redis_url), cwd=ROOT
    )
    printed, _ = await process.communicate()
    assert printed == b"Asked all processes to end the streams of channel many.\n"
    for reader, writer in ended:
        assert b"Traceback" not in await reader.read()
        writer.close()
    await asyncio.to_thread(RedisBroker(redis_url).publish, "other", b"tdata: still there\n\n")
    for reader, writer in kept:
        assert await reader.readuntil(b"data: still there\n\n")
        writer.close()


async def open_stream(server, channel):
    """Open a stream, and return its connection once the stream has begun."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /channels/{channel}/ HTTP/1.0\r\n\r\n".encode())
    assert b"200" in await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"\n\n")
    return reader, writer
