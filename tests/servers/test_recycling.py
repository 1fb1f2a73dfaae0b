"""Servers that replace a worker after a number of requests end its streams, and do not wait for them."""

import asyncio
import signal

import httpx
import pytest

from tests.servers.test_servers import GUNICORN, ROOT, UVICORN
from tests.servers.test_shutdown import Client
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server]

LIMIT = 6
ASGI, WSGI = "tests.project.asgi:application", "tests.project.wsgi:application"
LIMITED = [*GUNICORN, "--max-requests", str(LIMIT)]
SERVERS = {
    "uvicorn": [*UVICORN[:-2], "--log-level", "info", "--limit-max-requests", str(LIMIT)],
    "gunicorn with uvicorn-worker": [
        *GUNICORN,
        "-k",
        "uvicorn_worker.UvicornWorker",
        "--max-requests",
        str(LIMIT),
        ASGI,
    ],
    "gunicorn asgi": [*GUNICORN, "-k", "asgi", "--max-requests", str(LIMIT), ASGI],
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "--max-requests", str(LIMIT), WSGI],
}
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_worker_that_is_replaced_ends_its_streams_with_a_delay(server, tmp_path):
    marks = tmp_path / "marks"
    marks.touch()
    with serve(SERVERS[server], env=ENVIRONMENT, cwd=ROOT) as running:
        client = Client()
        await client.open(running.url, f"/forever/?marks={marks}")
        async with httpx.AsyncClient(timeout=30) as http:
            for _ in range(LIMIT):
                (await http.get(f"{running.url}/page/")).raise_for_status()
        assert b"retry: " in await client.rest()
        assert marks.read_bytes() == b"."
        if server == "uvicorn":
            assert await asyncio.to_thread(running.process.wait, 30) == 0


async def test_gthread_ends_its_streams_on_sigterm(tmp_path):
    command = [*GUNICORN, "-k", "gthread", "--threads", "4", WSGI]
    with serve(command, env=ENVIRONMENT, cwd=ROOT) as running:
        client = Client()
        await client.open(running.url, f"/forever/?marks={tmp_path / 'marks'}")
        running.process.send_signal(signal.SIGTERM)
        assert b"retry: " in await client.rest()
        assert await asyncio.to_thread(running.process.wait, 20) == 0


def test_a_log_level_that_hides_the_replacement_is_named_at_start(tmp_path):
    command = [*UVICORN, "--limit-max-requests", "1"]
    with serve(command, env=ENVIRONMENT, cwd=ROOT) as running:
        httpx.get(f"{running.url}/function/sync/", params={"gates": tmp_path}, timeout=30)
        running.process.wait(30)
    assert "--limit-max-requests ends workers that have open streams" in running.output
