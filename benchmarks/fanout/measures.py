"""Measures of fan-out: each publishes to an audience on a running server and returns figures by column."""

import time
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import count
from statistics import median, quantiles

from benchmarks.fanout.audience import Audience, Heard, audience
from benchmarks.fanout.contenders import Fanout
from benchmarks.fanout.sizes import IDLE, FanoutSizes
from benchmarks.measures import SETTLE, Figures
from benchmarks.servers import Server

TIMEOUT = 60
"""Seconds that a request may take."""

PASSES = 3
"""Times that a series is published to the same subscribers; their median is the run's figure."""

Measure = Callable[[Fanout, Server, FanoutSizes], Figures]


class Publisher:
    """Ask a server to publish series of events."""

    def __init__(self, contender: Fanout, server: Server) -> None:
        self._nginx = contender.nginx
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        self._connection.connect()
        self._series = count(1)

    def series(self) -> int:
        """Return the number of a new series."""
        return next(self._series)

    def publish(self, pattern: str, events: int, series: int) -> None:
        """Have events published; returns when the server has taken them."""
        if self._nginx:
            self._post(pattern, events, series)
        else:
            self.get(f"/publish/{pattern}/{events}/{series}")

    def get(self, path: str) -> bytes:
        """Return what a server answers."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} was answered with {response.status}")
        return body

    def _post(self, pattern: str, events: int, series: int) -> None:
        connection, answers = self._connection.sock, b""
        for number in range(events):
            body = b'{"series":%d,"price":101.25,"n":%d,"at":%d}' % (series, number, time.monotonic_ns())
            connection.sendall(
                b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            expected = number + 1 if pattern == "paced" or number == events - 1 else 0
            while answers.count(b"HTTP/1.1 20") < expected:
                answers += connection.recv(1 << 16)


def lone(contender: Fanout, server: Server, sizes: FanoutSizes) -> Figures:
    """Time from publishing to a lone subscriber of events on an otherwise idle server, in microseconds."""
    publisher = Publisher(contender, server)
    delays = []
    with audience(server.port, 1) as everyone:
        _gather(everyone, publisher, 1)
        for _ in range(sizes.lone_events):
            delays += _heard(everyone, publisher, "paced", 1).delays
            time.sleep(IDLE)
    figures = {"lone": median(delays) / 1000}
    if contender.redis:
        figures["round_trip"] = float(publisher.get(f"/round-trip/{sizes.lone_events}"))
    return figures


def many(contender: Fanout, server: Server, sizes: FanoutSizes) -> Figures:
    """Send many events to many subscribers."""
    return _both("many", contender, server, *sizes.many)


def crowd(contender: Fanout, server: Server, sizes: FanoutSizes) -> Figures:
    """Send some events to very many subscribers."""
    return _both("crowd", contender, server, *sizes.crowd)


FANOUT_MEASURES: dict[str, Measure] = {measure.__name__: measure for measure in (lone, many, crowd)}


def _both(name: str, contender: Fanout, server: Server, subscribers: int, events: int) -> Figures:
    publisher = Publisher(contender, server)
    figures: Figures = {}
    with audience(server.port, subscribers) as everyone:
        _gather(everyone, publisher, subscribers)
        time.sleep(SETTLE)
        _heard(everyone, publisher, "paced", min(events, 10))
        for pattern in ("paced", "burst"):
            passes = [_figures(_heard(everyone, publisher, pattern, events)) for _ in range(PASSES)]
            figures |= {f"{name}_{pattern}_{key}": median(one[key] for one in passes) for key in passes[0]}
    return figures


def _gather(everyone: Audience, publisher: Publisher, subscribers: int) -> None:
    """Publish until everyone has heard something: until then their subscriptions may not be there."""
    for _ in range(20):
        if not _heard(everyone, publisher, "paced", 1, patience=3).deaf:
            return
    raise TimeoutError(f"not all of {subscribers} subscribers hear what is published")


def _heard(everyone: Audience, publisher: Publisher, pattern: str, events: int, patience: float = 20) -> Heard:
    series = publisher.series()
    everyone.expect(events, series, patience)
    publisher.publish(pattern, events, series)
    return everyone.heard()


def _figures(heard: Heard) -> Figures:
    deliveries = len(heard.delays)
    centiles = quantiles(heard.delays, n=100)
    return {
        "rate": deliveries / (heard.last - heard.first) * 1e9,
        "p50": centiles[49] / 1e6,
        "p99": centiles[98] / 1e6,
        "lost": 100 * heard.lost / (deliveries + heard.lost),
        "disordered": 100 * heard.disordered / deliveries,
        "busy": 100 * heard.busy,
    }
