"""Tests of crowds: the clients of a server that stops are told to return one after another."""

import asyncio
import json
import re
from collections import defaultdict

import pytest

from tests.servers.test_servers import ROOT, UVICORN
from tests.servers.test_shutdown import Client
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.server]

WORKERS, STREAMS, RATE = 4, 200, 2
SHORTEST = 1000


class NamedClient(Client):
    """A client that knows the process of its stream."""

    async def open(self, url, path):
        await super().open(url, path, until=b"event: process\n")
        self.process = await self.reader.readuntil(b"\n\n")


async def test_each_process_spreads_its_clients_by_their_number():
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.project.crowds",
        "TEST_ADRF_SSE": json.dumps({"RECONNECT_RATE": RATE, "SHUTDOWN_RETRY_SPREAD": [SHORTEST, SHORTEST]}),
    }
    with serve([*UVICORN, "--workers", str(WORKERS)], env=env, cwd=ROOT) as running:
        clients = [NamedClient() for _ in range(STREAMS)]
        await asyncio.gather(*(client.open(running.url, "/") for client in clients))
        running.process.terminate()
        ends = await asyncio.gather(*(client.rest() for client in clients))
        await asyncio.to_thread(running.process.wait, 15)
    delays = defaultdict(list)
    for client, end in zip(clients, ends, strict=True):
        [retry] = re.findall(rb"retry: (\d+)\n", end)
        delays[client.process].append(int(retry) - SHORTEST)
    assert len(delays) > 1
    places = []
    for each in delays.values():
        width = 1000 * len(each) / RATE  # the clients of a process return at the rate that is set
        assert max(each) <= width
        places += [delay / width for delay in each]
    tenths = [sum(tenth <= 10 * place < tenth + 1 for place in places) for tenth in range(10)]
    assert min(tenths) > 0  # of 200 even delays, no tenth of the time stays empty
    assert max(tenths) < STREAMS / 4
