"""Runs that code starts, where no view of the package has been called, when their server stops."""

import asyncio
import signal
import sys

import pytest

from adrf_sse.runs import follow, start_run
from adrf_sse.runs.begin import Start
from adrf_sse.runs.local import local_runs
from adrf_sse.streams.open_streams import OpenStreams
from adrf_sse.streams.shutdown import Shutdown


@pytest.fixture
async def server(monkeypatch):
    """The signals that the server's own handler has received."""
    received = asyncio.Queue()
    shutdown = Shutdown(OpenStreams())
    shutdown.on_stop(local_runs.shut_down)
    monkeypatch.setattr(sys.modules[Start.__module__], "shutdown", shutdown)
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.put_nowait(number))
    yield received
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("grace", "status"), [(30, "completed"), (0, "lost")])
async def test_a_run_that_code_has_started_ends_before_the_server_handles_the_signal(server, settings, grace, status):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_GRACE": grace}
    go_on = asyncio.Event()

    async def source():
        yield "a"
        await go_on.wait()

    run_id = await start_run(source())
    async with asyncio.timeout(30):
        async with follow(run_id) as events:
            await anext(events)
            signal.raise_signal(signal.SIGTERM)
            assert server.empty()
            if grace:
                go_on.set()
            assert [event.data async for event in events][-1] == {"status": status}
        assert await server.get() == signal.SIGTERM
