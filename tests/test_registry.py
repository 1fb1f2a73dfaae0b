"""The registry stands in front of a server's signal handlers only while streams are open, and loses no signal."""

import asyncio
import signal

import pytest

from adrf_sse.registry import OpenStreams


class Stream:
    """What the registry needs of a stream."""

    is_read = True

    def __init__(self, streams):
        self._streams = streams
        self.loop = asyncio.get_running_loop()

    def close(self):
        raise NotImplementedError

    def shut_down(self):
        self._streams.discard(self)


class Server:
    """A server's own handler of SIGTERM."""

    def __init__(self):
        self.received = asyncio.Queue()

    def handle(self, number, frame):
        self.received.put_nowait(number)


class Interrupted(dict):
    """What the registry has found, with one signal that comes while it puts it back."""

    signals = 1

    def items(self):
        if self.signals:
            self.signals -= 1
            signal.raise_signal(signal.SIGTERM)
        return super().items()


@pytest.fixture
async def server():
    server = Server()
    before = signal.signal(signal.SIGTERM, server.handle)
    yield server
    signal.signal(signal.SIGTERM, before)


async def test_the_servers_handler_is_back_when_the_last_stream_has_ended(server):
    streams = OpenStreams()
    first, last = Stream(streams), Stream(streams)
    streams.add(first)
    streams.add(last)
    assert signal.getsignal(signal.SIGTERM) != server.handle
    streams.discard(first)
    assert signal.getsignal(signal.SIGTERM) != server.handle
    streams.discard(last)
    assert signal.getsignal(signal.SIGTERM) == server.handle


async def test_a_signal_ends_the_streams_and_then_reaches_the_server(server):
    streams = OpenStreams()
    streams.add(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    assert server.received.empty()
    assert await server.received.get() == signal.SIGTERM
    assert not len(streams)
    assert signal.getsignal(signal.SIGTERM) == server.handle


async def test_a_stream_that_opens_after_the_signal_ends_at_once(server):
    streams = OpenStreams()
    streams.add(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    streams.add(Stream(streams))
    while len(streams):
        await asyncio.sleep(0)


async def test_a_signal_that_comes_as_the_last_stream_ends_reaches_the_server(server):
    streams = OpenStreams()
    stream = Stream(streams)
    streams.add(stream)
    streams._found = Interrupted(streams._found)
    streams.discard(stream)
    assert await server.received.get() == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == server.handle
