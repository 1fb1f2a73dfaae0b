"""What it costs to send the rows that change to the subscribers of a live list."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median, quantiles

from benchmarks.apps.publishing import IDLE
from benchmarks.clients.audience import SILENCE, Audience, Delivery, audience
from benchmarks.clients.publisher import Publisher
from benchmarks.contenders import LIVE, LIVE_UNSHARED, LIVE_USERS
from benchmarks.limits import PATIENCE
from benchmarks.results import Figures, Results
from benchmarks.servers import SETTLE, Server
from benchmarks.suites.suite import Column, Sitting, Suite, Table

PASSES = 3
"""Times that many rows are changed; the median is the run's rate."""

COUNTS = {"written": 1, "read": 1, "serialized": 1, "connected": 1, "cpu": 1e6}
"""What the server counts, and the factor of each figure."""

LIMITS = {"patience": PATIENCE, "silence": PATIENCE}
"""Seconds that a server may be silent: one that reads rows for each subscriber needs some."""

numbers = count(1)
"""Numbers of the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of subscribers and events."""

    subscribers: int = 1_000
    events: int = 50
    """Rows that are changed; a row is changed once, because a live list may skip states of a row."""
    few: int = 5
    """The same, where rows are read for each subscriber."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Hold when rows were committed, and when they arrived at the subscribers, in nanoseconds."""

    commits: list[int]
    received: list[list[Delivery]]

    def check(self) -> None:
        """Raise ``RuntimeError`` unless each subscriber has received each row once."""
        numbers = [[number for number, _, _ in one] for one in self.received]
        repeated = sum(len(one) - len(set(one)) for one in numbers)
        missing = sum(len(self.commits) - len(set(one)) for one in numbers)
        if repeated or missing:
            total = len(self.commits) * len(self.received)
            raise RuntimeError(f"{missing} of {total} deliveries did not arrive, {repeated} were repeated")

    @property
    def delays(self) -> list[int]:
        """The times from the commit of each row to its arrival at the last subscriber."""
        last = dict.fromkeys(range(len(self.commits)), 0)
        for number, _, arrived in (delivery for one in self.received for delivery in one):
            last[number] = max(last[number], arrived)
        return [last[number] - commit for number, commit in enumerate(self.commits)]

    @property
    def rate(self) -> float:
        """The deliveries in a second, from the first commit to the last arrival."""
        arrivals = [arrived for one in self.received for _, _, arrived in one]
        return len(arrivals) / (max(arrivals) - self.commits[0]) * 1e9


Write = Callable[..., Changes]


def live(server: Server, sizes: Sizes) -> Figures:
    """Costs of lone changes, and the rate of many."""
    is_unshared = server.contender.name == LIVE_UNSHARED
    events = sizes.few if is_unshared else sizes.events
    publisher = Publisher(server)
    with _subscribed(server, publisher, sizes.subscribers) as write:
        time.sleep(SETTLE)
        write(min(events, 10))
        before = _counts(publisher)
        delays = [_alone(write) for _ in range(events)]
        after = _counts(publisher)
        rates = [_complete(write(events)).rate for _ in range(1 if is_unshared else PASSES)]
    centiles = quantiles(delays, n=100, method="inclusive")
    return {
        "p50": centiles[49] / 1e6,
        "p99": centiles[98] / 1e6,
        "rate": median(rates),
        **{key: factor * (after[key] - before[key]) / events for key, factor in COUNTS.items()},
    }


def _alone(write: Write) -> int:
    """Return how long a change takes to the last subscriber, on an otherwise idle server."""
    time.sleep(IDLE)
    return _complete(write(1)).delays[0]


def _complete(changes: Changes) -> Changes:
    changes.check()
    return changes


def _counts(publisher: Publisher) -> dict[str, float]:
    counts: dict[str, float] = json.loads(publisher.get("/counts"))
    return counts


@contextmanager
def _subscribed(server: Server, publisher: Publisher, subscribers: int) -> Iterator[Write]:
    """Open an audience, and yield a function that changes rows, once each subscriber has received something."""
    users = subscribers if server.contender.name == LIVE_USERS else 1
    with audience(server.port, subscribers, users) as everyone:

        def write(events: int, **limits: float) -> Changes:
            return _written(everyone, publisher, events, limits)

        # Until then, a subscriber that has its response may not be subscribed yet.
        if not any(all(write(1, patience=3, silence=SILENCE).received) for _ in range(20)):
            raise TimeoutError(f"not all of {subscribers} subscribers receive the rows that change")
        yield write


def _written(everyone: Audience, publisher: Publisher, events: int, limits: dict[str, float]) -> Changes:
    series, answers = next(numbers), []
    deliveries = everyone.receive(
        lambda: answers.append(publisher.get(f"/write/{events}/{series}")), events, series, **LIMITS | limits
    )
    return Changes(json.loads(answers[0]), deliveries.received)


def _method(results: Results) -> str:
    sizes = results.sizes
    return (
        f"Each server is a fresh process with one uvicorn worker on loopback, memory broker, and an SQLite database in "
        f"a file; {sizes.subscribers:,} connections. An event is a row that is saved in a transaction of its own, in "
        f"a thread of the server. {sizes.events} rows ({sizes.few} without partition) are changed one by one, each "
        f"after the one before has reached all subscribers: the delay is from the commit to the arrival at the last "
        f"subscriber, and CPU is that of the server's process, the writing included. Then they are changed one after "
        f"the other without a pause, {PASSES} times: the rate is over the time from the first commit to the last "
        f"arrival. Queries and serializations are counted in the server; queries of the writing thread have a column "
        f"of their own. The clients check that each subscriber receives each change once."
    )


LIVE_SUITE = Suite(
    summary="the cost of live lists with many subscribers",
    marker="live",
    contenders=LIVE,
    path="/counts",
    sittings=(Sitting((live,)),),
    full=Sizes(),
    quick=Sizes(subscribers=100, events=10, few=3),
    tables=(
        Table(
            (
                Column("written", "write queries/event", ".2f", ratio=False),
                Column("read", "read queries/event", ",.2f", ratio=False),
                Column("connected", "connections opened/event", ",.2f", ratio=False),
                Column("serialized", "serializations/event", ",.2f", ratio=False),
                Column("cpu", "CPU µs/event", ",.0f"),
                Column("p50", "last subscriber, p50, ms", ",.1f"),
                Column("p99", "p99, ms", ",.1f"),
                Column("rate", "deliveries/s", ",.0f"),
            )
        ),
    ),
    method=_method,
)
