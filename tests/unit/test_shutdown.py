"""Tests of the package's signal handlers, which run before the server's."""

import asyncio
import signal

import pytest

from adrf_sse.streams.open_streams import OpenStreams
from adrf_sse.streams.shutdown import Shutdown


class Stream:
    """A stream that ends as soon as it is shut down."""

    def __init__(self, streams):
        self._streams = streams
        self.loop = asyncio.get_running_loop()

    def shut_down(self):
        self._streams.discard(self)


class Server:
    """A server with its own handler for SIGTERM."""

    def __init__(self):
        self.received = asyncio.Queue()

    def handle(self, number, frame):
        self.received.put_nowait(number)


@pytest.fixture
async def server():
    server = Server()
    before = signal.signal(signal.SIGTERM, server.handle)
    yield server
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_reaches_the_server_at_once_if_no_stream_is_open(server):
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    stream = Stream(streams)
    shutdown.track(stream)
    streams.discard(stream)
    signal.raise_signal(signal.SIGTERM)
    assert await server.received.get() == signal.SIGTERM
    shutdown.track(Stream(streams))
    while len(streams):
        await asyncio.sleep(0)


async def test_a_signal_ends_the_streams_and_then_reaches_the_server(server):
    streams = OpenStreams()
    Shutdown(streams).track(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    assert server.received.empty()
    assert await server.received.get() == signal.SIGTERM
    assert not len(streams)


async def test_a_stream_that_opens_after_the_signal_ends_at_once(server):
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    shutdown.track(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    shutdown.track(Stream(streams))
    while len(streams):
        await asyncio.sleep(0)
