"""Servers whose runs do what tests write into files."""

import asyncio
import json
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit

import httpx

from tests.servers.test_servers import ROOT, SERVERS
from tests.support.servers import serve

JSON = {"Accept": "application/json"}


class Script:
    """What the source of a run shall do."""

    def __init__(self, folder, number):
        self._script = folder / f"script-{number}"
        self._marks = folder / f"marks-{number}"
        self._script.touch()
        self._marks.touch()
        self.data = {"script": str(self._script), "marks": str(self._marks)}

    def put(self, *lines):
        """Let the source yield lines; ``end`` ends it."""
        with self._script.open("a") as script:
            script.write("".join(f"{line}\n" for line in lines))

    async def closed(self):
        """Wait until the source is closed."""
        async with asyncio.timeout(30):
            while not self._marks.read_text():
                await asyncio.sleep(0.01)


class RunServer:
    """A server with runs, and a client of it."""

    def __init__(self, running, folder):
        self.running = running
        self.process = running.process
        self._folder = folder
        self._numbers = count()

    def new_script(self):
        return Script(self._folder, next(self._numbers))

    def client(self):
        return httpx.AsyncClient(base_url=self.running.url, timeout=30)

    async def post(self, data):
        async with self.client() as client:
            return await client.post("/runs/", json=data, headers=JSON)

    async def start(self):
        """Start a run, and return its ID and its script."""
        script = self.new_script()
        response = await self.post(script.data)
        assert response.status_code == 202, response.text
        return response.json()["id"], script

    async def stop(self, run_id):
        async with self.client() as client:
            return (await client.delete(f"/runs/{run_id}/")).status_code

    async def read(self, run_id, **headers):
        """Return the whole response of a follower."""
        async with self.client() as client:
            return (await client.get(f"/runs/{run_id}/", headers=headers)).text


@contextmanager
def run_server(folder, url, server="uvicorn", shift=0, **values):
    """Run a server whose runs are in Redis, or in PostgreSQL as ``use_postgres()`` configures it."""
    database = urlsplit(url)
    if database.scheme == "postgres":
        broker = {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker", "OPTIONS": {"alias": "events"}}
    else:
        broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": url}}
    environment = {
        "TEST_EVENTS_PORT": str(database.port) if database.scheme == "postgres" else "",
        "DJANGO_SETTINGS_MODULE": "tests.project.run_settings",
        "TEST_ADRF_SSE": json.dumps({"BROKER": broker, **values}),
        "TEST_CLOCK_SHIFT": str(shift),
    }
    with serve(SERVERS[server], env=environment, cwd=ROOT) as running:
        yield RunServer(running, folder)
