"""The Markdown tables of fan-out."""

from collections.abc import Iterator
from statistics import median

from benchmarks.contenders import BASELINE
from benchmarks.fanout.audience import PROCESSES
from benchmarks.fanout.contenders import Fanout
from benchmarks.fanout.measures import PASSES
from benchmarks.fanout.sizes import IDLE, FanoutSizes
from benchmarks.rounds import Round
from benchmarks.table import Column, remarks, surroundings, table

SHARES = {"lost": "lost", "disordered": "repeated or out of order"}


def markdown(contenders: tuple[Fanout, ...], rounds: list[Round], sizes: FanoutSizes) -> str:
    """Return the tables, with what they were measured on and the notes."""
    notes = [line for contender in contenders for line in (*remarks(contender, rounds), *_losses(contender, rounds))]
    return "\n".join(
        [
            *table(contenders, rounds, (*_columns(sizes, "paced"), *_lone())),
            "",
            "The same with the events published in a burst, without a turn of the event loop between them:",
            "",
            *table(contenders, rounds, _columns(sizes, "burst")),
            "",
            _key(rounds, sizes),
            "",
            surroundings(),
            "",
            *notes,
        ]
    )


def _columns(sizes: FanoutSizes, pattern: str) -> tuple[Column, ...]:
    return tuple(
        column
        for name, (subscribers, events) in (("many", sizes.many), ("crowd", sizes.crowd))
        for column in (
            Column(f"{name}_{pattern}_rate", f"deliveries/s, {subscribers:,} × {events}", ",.0f"),  # noqa: RUF001
            Column(f"{name}_{pattern}_p50", "p50, ms", ",.1f"),
            Column(f"{name}_{pattern}_p99", "p99, ms", ",.1f"),
        )
    )


def _lone() -> tuple[Column, ...]:
    return Column("lone", "lone event, µs", ",.0f"), Column("round_trip", "Redis round trip, µs", ",.0f", ratio=False)


def _key(rounds: list[Round], sizes: FanoutSizes) -> str:
    busy = [figure for one in rounds for report in one.values() for key, figure in report.figures.items()
            if key.endswith("_busy")]  # fmt: skip
    return (
        f"Medians of {len(rounds)} run{'s' * (len(rounds) != 1)}; in brackets the median ratio to {BASELINE} of the "
        f"same run. Each server is a fresh process with one worker on loopback. One request has it publish all events, "
        f"one after the other, each followed by a turn of its event loop. Latency is from just before an event's "
        f"publish call to its arrival, over all deliveries; the rate is over the time from the first call to the last "
        f"arrival; each run's figure is the median of {PASSES} passes. "
        f"A lone event goes to the only subscriber, {IDLE * 1000:g} ms after the one before, over "
        f"{sizes.lone_events} events; so do the PINGs of the Redis round trip. {PROCESSES} client processes share the "
        f"subscribers; the busier one was occupied for at most {max(busy, default=0):.0f} % of a measure, "
        f"{median(busy or [0]):.0f} % in the median. Each subscriber's events are checked to have come once and in "
        f"order."
    )


def _losses(contender: Fanout, rounds: list[Round]) -> Iterator[str]:
    for measure in ("many", "crowd"):
        for pattern in ("paced", "burst"):
            for key, words in SHARES.items():
                shares = [one[contender.name].figures.get(f"{measure}_{pattern}_{key}", 0.0) for one in rounds]
                if any(shares):
                    yield (
                        f"- {contender.name}, {measure}, {pattern}: {median(shares):.1f} % of the deliveries {words} "
                        f"(up to {max(shares):.1f} %); its figures are of the rest."
                    )
