"""Every server exits on SIGTERM and SIGINT with open streams, and tells each client when to reconnect."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.test_servers import ROOT, UVICORN
from tests.support.ports import free_port
from tests.support.servers import serve

pytestmark = pytest.mark.server

STREAMS = 200
GUNICORN = ["-m", "gunicorn", "--no-control-socket", "-k", "uvicorn_worker.UvicornWorker", "--bind", "fd://{fd}"]
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn with workers": [*UVICORN, "--workers", "2"],
    "uvicorn with reload": [*UVICORN, "--reload", "--reload-dir", "tests/project/settings.py"],
    "gunicorn with uvicorn-worker": [*GUNICORN, "tests.project.asgi:application"],
    "hypercorn": ["-m", "hypercorn", "--workers", "0", "--bind", "fd://{fd}", "tests.project.asgi:application"],
    "daphne": ["-m", "daphne", "--fd", "{fd}", "tests.project.asgi:application"],
    "granian": ["-m", "granian", "--interface", "asginl", "--port", "{port}", "tests.project.asgi:application"],
}


def with_port(command):
    """Return the command with ``{port}`` replaced by a free port, and that port or ``None``."""
    if "{port}" not in command:
        return command, None
    port = free_port()
    return [argument.replace("{port}", str(port)) for argument in command], port


class Client:
    """One connection that reads one stream."""

    async def open(self, url, path, until=b"data: one\n\n"):
        host, port = url.removeprefix("http://").split(":")
        self.reader = None
        while self.reader is None:  # granian can't use a socket that already listens
            with suppress(ConnectionRefusedError):
                self.reader, self.writer = await asyncio.open_connection(host, int(port))
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        await self.reader.readuntil(until)

    async def rest(self):
        """Return the rest of the response, up to its last chunk or the end of the connection."""
        rest = b""
        while not rest.endswith(b"0\r\n\r\n") and (chunk := await self.reader.read(65536)):
            rest += chunk
        self.writer.close()
        return rest


def send_signal(pid, number):
    """Send a signal to a server; send SIGINT to its workers as well, as a terminal does.

    With uvicorn's worker, gunicorn does not exit on a SIGINT to itself alone, even if no stream is open.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if number == signal.SIGINT else []
    for process in [pid, *map(int, children)]:
        os.kill(process, number)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
    ids=["SIGTERM", "SIGINT"],
)
@pytest.mark.parametrize(
    "server", ["uvicorn", *(pytest.param(name, marks=pytest.mark.slow) for name in SERVERS if name != "uvicorn")]
)
async def test_open_streams_end_cleanly_and_the_server_exits(server, number, tmp_path):
    marks = tmp_path / "marks"
    marks.touch()
    environment = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}
    command, port = with_port(SERVERS[server])
    with serve(command, env=environment, cwd=ROOT) as running:
        running.url = running.url if port is None else f"http://127.0.0.1:{port}"
        clients = [Client() for _ in range(STREAMS)]
        await asyncio.gather(*(client.open(running.url, f"/forever/?marks={marks}") for client in clients))
        send_signal(running.process.pid, number)
        ends = await asyncio.gather(*(client.rest() for client in clients))
        await asyncio.to_thread(running.process.wait, 15)
        retries = [re.findall(rb"retry: (\d+)\n", end) for end in ends]
        assert {end[-5:] for end in ends} == {b"0\r\n\r\n"}
        assert all(len(retry) == 1 and 1000 <= int(retry[0]) <= 5000 for retry in retries)
        assert len({retry[0] for retry in retries}) > 1
        assert marks.stat().st_size == STREAMS
        assert running.output.count("Traceback") == 0


ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}


async def test_a_blocked_synchronous_source_does_not_delay_the_shutdown():
    with serve(UVICORN, env=ENVIRONMENT, cwd=ROOT) as running:
        client = Client()
        await client.open(running.url, "/blocked/")
        running.process.terminate()
        end = await client.rest()
        assert re.search(rb"retry: \d+\n\r\n0\r\n\r\n$", end)
        await asyncio.to_thread(running.process.wait, 15)


async def test_a_client_that_stopped_reading_does_not_delay_the_shutdown():
    with serve(UVICORN, env=ENVIRONMENT, cwd=ROOT) as running:
        host, port = running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
        writer.write(b"GET /endless/ HTTP/1.1\r\nHost: test\r\n\r\n")
        await reader.readuntil(b"data: 0\n\n")
        # The reader buffers no more than its limit, so the server's socket fills up.
        running.process.terminate()
        await asyncio.to_thread(running.process.wait, 15)
        writer.close()


async def test_clients_that_reconnect_at_once_do_not_delay_the_shutdown():
    with serve(UVICORN, env=ENVIRONMENT, cwd=ROOT) as running:
        host, port = running.url.removeprefix("http://").split(":")

        async def reconnect():
            """Open one stream after another until the server no longer listens."""
            while True:
                try:
                    reader, writer = await asyncio.open_connection(host, int(port))
                except ConnectionRefusedError:
                    return
                writer.write(b"GET /forever/ HTTP/1.0\r\n\r\n")
                opened.set()
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()

        opened = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(reconnect())
            await opened.wait()
            first = Client()
            await first.open(running.url, "/forever/")
            running.process.terminate()
            await first.rest()
        await asyncio.to_thread(running.process.wait, 15)


async def test_a_second_signal_reaches_the_server_at_once():
    with serve(UVICORN, env=ENVIRONMENT, cwd=ROOT) as running:
        client = Client()
        await client.open(running.url, "/blocked/")
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGINT)
        await client.rest()
        await asyncio.to_thread(running.process.wait, 15)
