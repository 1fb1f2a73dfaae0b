"""What it costs to publish, beside what it costs to insert a row."""

from dataclasses import dataclass

from benchmarks.clients.writers import writing
from benchmarks.contenders import PLAIN, PUBLISHING
from benchmarks.results import Figures, Results
from benchmarks.servers import Server
from benchmarks.suites.suite import Column, Sitting, Suite, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of writers and events, and the times."""

    seconds: float = 3.0
    """Seconds that a measure takes."""
    writers: int = 8
    """Processes that write at the same time."""
    together: int = 100
    """Events in one transaction."""


def publishing(server: Server, sizes: Sizes) -> Figures:
    """Events of one writer, of several, and of large transactions, and transactions that also save a row."""
    name, seconds = server.contender.name, sizes.seconds
    with writing(name, server.environment, sizes.writers) as writers:
        return {
            "alone": writers.rate("alone", seconds),
            "together": writers.rate("together", seconds, events=sizes.together) * sizes.together,
            "save": 1e6 / writers.rate("save", seconds),
            "many": writers.rate("alone", seconds, sizes.writers),
            "many_save": writers.rate("save", seconds, sizes.writers),
        }


def _method(results: Results) -> str:
    sizes = results.sizes
    return (
        f"Each contender has a new PostgreSQL on loopback, with its defaults: what is committed is on the disk. A "
        f"writer is a process with Django's connection in autocommit mode, and each measure takes {sizes.seconds:g} s. "
        f"A transaction is `atomic()`; it saves a row of five columns with `save()`, and publishes one event. All "
        f"events are of one channel, whose history is trimmed meanwhile, and nothing is subscribed to it."
    )


PUBLISHING_SUITE = Suite(
    summary="the cost of publishing",
    marker="publishing",
    contenders=PUBLISHING,
    baseline=PLAIN,
    sittings=(Sitting((publishing,)),),
    full=Sizes(),
    quick=Sizes(seconds=0.2, writers=2, together=10),
    tables=(
        Table(
            (
                Column("alone", "events/s, 1 writer", ",.0f"),
                Column("many", "{sizes.writers} writers", ",.0f"),
                Column("together", "1 writer, {sizes.together} in each transaction", ",.0f"),
                Column("save", "transaction that saves a row, µs", ",.0f"),
                Column("many_save", "such transactions/s, {sizes.writers} writers", ",.0f"),
            )
        ),
    ),
    method=_method,
)
