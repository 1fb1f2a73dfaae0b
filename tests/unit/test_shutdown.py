"""Tests of the package's signal handlers, which run before the server's."""

import asyncio
import signal
from collections import Counter

import pytest

from adrf_sse.streams import shutdown as shutdown_module
from adrf_sse.streams.open_streams import OpenStreams
from adrf_sse.streams.reconnection import reconnection_delay
from adrf_sse.streams.shutdown import Shutdown


class Stream:
    """A stream that ends as soon as it is shut down."""

    def __init__(self, streams):
        self._streams = streams
        self.loop = asyncio.get_running_loop()
        self.reader = None

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


async def test_a_signal_reaches_the_server_after_the_ends_of_the_responses(server, monkeypatch):
    async def send_the_end():
        while len(streams):
            await asyncio.sleep(0)
        for _ in range(100):  # turns in which the signal could reach the server
            await asyncio.sleep(0)
        assert server.received.empty()

    monkeypatch.setattr(shutdown_module, "LAST_BYTES", 0)
    monkeypatch.setattr(shutdown_module, "SHUTDOWN_PATIENCE", 30)
    streams = OpenStreams()
    stream = Stream(streams)
    stream.reader = asyncio.create_task(send_the_end())
    Shutdown(streams).track(stream)
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    stream.reader.result()


async def test_a_stream_that_opens_after_the_signal_ends_at_once(server):
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    shutdown.track(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    shutdown.track(Stream(streams))
    while len(streams):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("streams", "rate", "longest"), [(0, 100, 5000), (400, 100, 5000), (2500, 100, 26_000), (50, 1, 51_000)]
)
async def test_the_clients_of_many_streams_return_at_a_limited_rate(server, settings, streams, rate, longest):
    settings.ADRF_SSE = {"RECONNECT_RATE": rate}
    open_streams = OpenStreams()
    shutdown = Shutdown(open_streams)
    for _ in range(streams):
        shutdown.track(Stream(open_streams))
    shutdown.listen()
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    delays = [shutdown.retry() for _ in range(2000)]
    assert 1000 <= min(delays) < 1000 + longest / 20
    assert longest - longest / 20 < max(delays) <= longest


@pytest.mark.parametrize(("spread", "clients", "longest"), [((0, 0), 100, 1000), ((500, 500), 3000, 30_500)])
def test_delays_are_spread_evenly_over_the_whole_range(settings, spread, clients, longest):
    settings.ADRF_SSE = {"SHUTDOWN_RETRY_SPREAD": spread}
    width = longest - spread[0]
    tenths = Counter((reconnection_delay(clients) - spread[0]) * 10 // (width + 1) for _ in range(10_000))
    assert set(tenths) == set(range(10))
    assert min(tenths.values()) > 700  # 10 standard deviations below 1,000
    assert max(tenths.values()) < 1300


async def test_a_worker_that_is_replaced_without_a_signal_spreads_its_clients_as_well(settings):
    settings.ADRF_SSE = {"RECONNECT_RATE": 1}
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    for _ in range(50):
        shutdown.track(Stream(streams))
    shutdown.begin()
    while len(streams):
        await asyncio.sleep(0)
    assert 30_000 < max(shutdown.retry() for _ in range(1000)) <= 51_000


async def test_the_clients_of_streams_that_have_ended_before_are_not_counted(server, settings):
    settings.ADRF_SSE = {"RECONNECT_RATE": 1}
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    for _ in range(50):
        stream = Stream(streams)
        shutdown.track(stream)
        streams.discard(stream)
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    assert max(shutdown.retry() for _ in range(1000)) <= 5000


async def test_streams_that_open_during_the_shutdown_return_later(server, settings):
    settings.ADRF_SSE = {"RECONNECT_RATE": 1, "SHUTDOWN_RETRY_SPREAD": (0, 0)}
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    shutdown.listen()
    signal.raise_signal(signal.SIGTERM)
    await server.received.get()
    assert shutdown.retry() == 0
    for _ in range(60):
        shutdown.track(Stream(streams))
    assert max(shutdown.retry() for _ in range(1000)) > 30_000
    while len(streams):
        await asyncio.sleep(0)


async def test_a_handler_that_is_set_after_the_last_stream_is_found(server, monkeypatch):
    monkeypatch.setattr(shutdown_module, "LISTEN_INTERVAL", 0.01)
    streams, late = OpenStreams(), Server()
    stream = Stream(streams)
    Shutdown(streams).track(stream)
    signal.signal(signal.SIGTERM, late.handle)
    while signal.getsignal(signal.SIGTERM) == late.handle:
        await asyncio.sleep(0)
    signal.raise_signal(signal.SIGTERM)
    assert await late.received.get() == signal.SIGTERM
    assert not len(streams)


async def test_another_threads_streams_do_not_keep_the_main_thread_from_listening(server):
    streams = OpenStreams()
    shutdown = Shutdown(streams)
    await asyncio.to_thread(shutdown.keep_listening)
    shutdown.track(Stream(streams))
    signal.raise_signal(signal.SIGTERM)
    assert await server.received.get() == signal.SIGTERM
    assert not len(streams)
