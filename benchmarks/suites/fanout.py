"""What it costs to send each event of a channel to all its subscribers."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, pairwise
from operator import sub
from statistics import median, quantiles

from benchmarks.apps.publishing import IDLE
from benchmarks.clients.audience import PROCESSES, Audience, Deliveries, Delivery, audience
from benchmarks.clients.publisher import Publisher
from benchmarks.contenders import FANOUT, OVER_POSTGRES, OVER_REDIS
from benchmarks.limits import PATIENCE
from benchmarks.results import Figures, Results
from benchmarks.servers import SETTLE, Server
from benchmarks.suites.suite import TIMES, Column, Sitting, Suite, Table

PASSES = 3
"""Times that a series is published to the same subscribers; their median is the run's figure."""

OURS = "fanout_sse"
"""Module of the contenders that may lose no event."""

BROKERS = (OVER_REDIS, OVER_POSTGRES)
"""Contenders with a broker in a process of its own."""

PATTERNS = ("paced", "burst")
SERIES = [f"{load}_{pattern}" for load in ("many", "crowd") for pattern in PATTERNS]

SHARES = {"lost": "lost", "disordered": "repeated or out of order"}

Publish = Callable[..., Deliveries]

numbers = count(1)
"""Numbers of the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of subscribers and events."""

    many: tuple[int, int] = (1_000, 200)
    """Subscribers, and events for each of them."""
    crowd: tuple[int, int] = (5_000, 20)
    """The same, with more subscribers and fewer events."""
    lone_events: int = 300
    """Events one by one, to a lone subscriber."""


def lone(server: Server, sizes: Sizes) -> Figures:
    """Time from publishing to a lone subscriber of events on an otherwise idle server, in microseconds."""
    publisher = Publisher(server)
    with _subscribed(server, publisher, 1) as publish:
        [received] = publish("lone", sizes.lone_events).received
        if _in_order(received) < sizes.lone_events:
            raise RuntimeError(f"{_in_order(received)} of {sizes.lone_events} events arrived in order")
        figures = {"lone": median(arrived - published for _, published, arrived in received) / 1000}
        if server.contender.name in BROKERS:
            figures |= json.loads(publisher.get(f"/costs/{sizes.lone_events}"))
    return figures


def many(server: Server, sizes: Sizes) -> Figures:
    """Rate and latency of many events to many subscribers."""
    return _both_patterns("many", server, *sizes.many)


def crowd(server: Server, sizes: Sizes) -> Figures:
    """Rate and latency of some events to very many subscribers."""
    return _both_patterns("crowd", server, *sizes.crowd)


def _both_patterns(load: str, server: Server, subscribers: int, events: int) -> Figures:
    figures: Figures = {}
    with _subscribed(server, Publisher(server), subscribers) as publish:
        time.sleep(SETTLE)
        publish("paced", min(events, 10))
        for pattern in PATTERNS:
            passes = [_figures(publish(pattern, events), events) for _ in range(PASSES)]
            figures |= {f"{load}_{pattern}_{key}": median(one[key] for one in passes) for key in passes[0]}
    return figures


@contextmanager
def _subscribed(server: Server, publisher: Publisher, subscribers: int) -> Iterator[Publish]:
    """Open an audience, and yield a function that publishes to it, once each subscriber has received something."""
    with audience(server.port, subscribers) as everyone:
        publish = partial(_published, everyone, publisher)
        # Until then, a subscriber that has its response may not be subscribed yet.
        if not any(all(publish("paced", 1, patience=3).received) for _ in range(20)):
            raise TimeoutError(f"not all of {subscribers} subscribers receive what is published")
        yield publish


def _published(
    everyone: Audience, publisher: Publisher, pattern: str, events: int, patience: float = PATIENCE
) -> Deliveries:
    series = next(numbers)
    return everyone.receive(partial(publisher.publish, pattern, events, series), events, series, patience)


def _in_order(received: list[Delivery]) -> int:
    return sum(before < number for before, number in pairwise([-1, *(number for number, _, _ in received)]))


def _figures(deliveries: Deliveries, events: int) -> Figures:
    _, published, arrived = zip(*chain.from_iterable(deliveries.received), strict=True)
    number, in_order = len(arrived), sum(map(_in_order, deliveries.received))
    lost = events * len(deliveries.received) - in_order
    centiles = quantiles(map(sub, arrived, published), n=100)
    return {
        "rate": number / (max(arrived) - min(published)) * 1e9,
        "p50": centiles[49] / 1e6,
        "p99": centiles[98] / 1e6,
        "lost": 100 * lost / (number + lost),
        "disordered": 100 * (number - in_order) / number,
        "busy": 100 * deliveries.busy,
    }


def _columns(load: str, pattern: str) -> tuple[Column, ...]:
    size = f"{{sizes.{load}[0]:,}} {TIMES} {{sizes.{load}[1]}}"
    return (
        Column(f"{load}_{pattern}_rate", f"deliveries/s, {size}", ",.0f"),
        Column(f"{load}_{pattern}_p50", "p50, ms", ",.1f"),
        Column(f"{load}_{pattern}_p99", "p99, ms", ",.1f"),
    )


def _method(results: Results) -> str:
    keys = [f"{series}_busy" for series in SERIES]
    busy = [figure for one in results.contenders for key in keys for figure in results.figures(one.name, key)]
    return (
        f"Each server is a fresh process with one worker on loopback. One request makes it publish all events, one "
        f"after the other, each followed by a turn of its event loop. Latency is from just before an event's publish "
        f"call to its arrival, over all deliveries; the rate is over the time from the first call to the last "
        f"arrival; each run's figure is the median of {PASSES} passes. A lone event goes to the only subscriber, "
        f"{IDLE * 1000:g} ms after the one before, over {results.sizes.lone_events} events; its parts are measured "
        f"alone, as seldom. {PROCESSES} client processes share the subscribers; the busier one was occupied for at "
        f"most {max(busy, default=0):.0f} % of a measure, {median(busy or [0]):.0f} % in the median. The clients check "
        f"that each subscriber receives each event once and in order."
    )


def _losses(name: str, results: Results) -> list[str]:
    return [
        f"{name}, {series.replace('_', ', ')}: {median(shares):.1f} % of the deliveries {words} "
        f"(up to {max(shares):.1f} %); its figures are of the rest"
        for series in SERIES
        for key, words in SHARES.items()
        if any(shares := results.figures(name, f"{series}_{key}"))
    ]


def _failures(results: Results) -> list[str]:
    return [loss for one in results.contenders if one.module == OURS for loss in _losses(one.name, results)]


FANOUT_SUITE = Suite(
    summary="the rates and latency of a channel with many subscribers",
    marker="fan-out",
    contenders=FANOUT,
    path="/publish/paced/0/0",
    sittings=(Sitting((lone,)), Sitting((many,)), Sitting((crowd,))),
    full=Sizes(),
    quick=Sizes(many=(100, 50), crowd=(300, 10), lone_events=30),
    tables=(
        Table(
            (
                *_columns("many", "paced"),
                *_columns("crowd", "paced"),
                Column("lone", "lone event, µs", ",.0f"),
            )
        ),
        Table(
            (*_columns("many", "burst"), *_columns("crowd", "burst")),
            "The same with the events published in a burst, without a turn of the event loop between them:",
        ),
        Table(
            (
                Column("lone", "lone event, µs", ",.0f", ratio=False),
                Column("lone", f"{TIMES} Redis", ".2f", to=OVER_REDIS),
                Column("published", "`publish()` alone, µs", ",.0f", ratio=False),
                Column("round_trip", "round trip to the broker, µs", ",.0f", ratio=False),
                Column("committed", "commit of a row, µs", ",.0f", ratio=False),
            ),
            "A lone event and its parts, where a broker is a process of its own. The round trip is a PING of redis-py, "
            "or `SELECT 1` through Django's cursor; the row is a plain INSERT through the same cursor:",
            BROKERS,
        ),
    ),
    method=_method,
    remarks=_losses,
    failures=_failures,
)
