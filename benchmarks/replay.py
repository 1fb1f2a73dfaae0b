"""How long others take to publish while clients replay a long history over Redis: ``python -m benchmarks.replay``.

Redis, uvicorn, the publisher and the clients are a process each. The publisher publishes small events to another
channel, first alone, and then while one client reads a history of 300 MB from its beginning, and while eight do.
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from statistics import quantiles

from django.conf import settings

from benchmarks.clients.connections import request
from benchmarks.processes import child
from benchmarks.programs import redis
from benchmarks.servers import worker

HISTORY = 300 * 1024 * 1024
"""Bytes of the history."""

SIZES = {"1 MiB": 1024 * 1024 - 100, "100 KiB": 100 * 1024, "1 KiB": 1024}
"""Sizes of its events."""

CLIENTS = (0, 1, 8)
"""Numbers of clients that replay the history at the same time."""

ALONE = 5.0
"""Seconds for which the publisher publishes without a replay."""

INTERVAL = 0.002
"""Seconds between two events of the publisher."""

END = b"event: ready\n"
"""The event that follows the history in a stream."""


def configure(url: str) -> None:
    """Use Redis in this process."""
    broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": url}}
    settings.configure(ADRF_SSE={"BROKER": broker, "CHANNEL_HISTORY": 10**6}, REST_FRAMEWORK={})


def fill(pipe: Connection, url: str, size: int) -> None:
    """Publish the history, and tell that it is complete."""
    configure(url)
    from adrf_sse.channels import publish

    for _ in range(HISTORY // size):
        publish("bench", "x" * size)
    pipe.send(None)
    pipe.recv()


def publisher(pipe: Connection, url: str) -> None:
    """Publish from each message until the next one, and then send the seconds that each event took, and the errors."""
    configure(url)
    from adrf_sse.channels import publish
    from adrf_sse.exceptions import BrokerUnavailable

    publish("others", "connects, and loads the script")
    while pipe.recv():
        times, errors = [], 0
        while not pipe.poll():
            began = time.perf_counter()
            try:
                publish("others", {"n": len(times)})
            except BrokerUnavailable:
                errors += 1
            times.append(time.perf_counter() - began)
            time.sleep(INTERVAL)
        pipe.recv()
        pipe.send((times, errors))


def replay(port: int) -> int:
    """Read a stream from the beginning of the history to its end, and return the number of bytes."""
    read, tail = 0, b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request("/subscribe?last_event_id=0"))
        while END not in tail:
            data = client.recv(1 << 20)
            if not data:
                raise RuntimeError(f"the stream ended after {read} bytes")
            read += len(data)
            tail = tail[-len(END) :] + data
    return read


def measure(pipe: Connection, port: int, clients: int) -> str:
    """Publish while some clients replay the history, and return a line of the table."""
    began = time.perf_counter()
    pipe.send(True)
    if clients:
        with ThreadPoolExecutor(clients) as threads:
            read = sum(threads.map(replay, [port] * clients))
    else:
        time.sleep(ALONE)
        read = 0
    pipe.send(False)
    times, errors = pipe.recv()
    seconds = time.perf_counter() - began
    cuts = [1000 * cut for cut in quantiles(times, n=100)] if len(times) > 1 else [1000 * times[0]] * 99
    figures = (cuts[49], cuts[98], 1000 * max(times))
    columns = "".join(f"{figure:9.1f}" for figure in figures)
    return f"{clients:7}{columns}{len(times):8}{errors:8}{seconds:9.1f}{read / 1e6 / seconds:8.0f}"


def main() -> None:
    """Print a table for each size."""
    for name, size in SIZES.items():
        print(f"\n{HISTORY // size} events of {name}; milliseconds of publish()")
        print("clients      p50      p99      max  events  errors  seconds    MB/s")
        with redis() as environment:
            url = environment["BENCHMARK_REDIS"]
            with child(fill, url, size) as pipe:
                pipe.recv()
            with worker("fanout_sse", "/subscribe", 128, environment) as (_, port), child(publisher, url) as pipe:
                for clients in CLIENTS:
                    print(measure(pipe, port, clients), flush=True)


if __name__ == "__main__":
    main()
