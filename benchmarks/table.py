"""The Markdown table: medians over the runs, and their ratio to the baseline of the same run."""

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.contenders import BASELINE, Contender
from benchmarks.rounds import Round
from benchmarks.sizes import Sizes

NONE, TIMES = "—", "\N{MULTIPLICATION SIGN}"
PACKAGES = (
    *("adrf-sse", "django", "djangorestframework", "adrf", "uvicorn", "uvloop", "httptools", "orjson"),
    *("django-flosse", "django-eventstream", "sse-starlette", "starlette", "fastapi", "redis"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column: where its figures are, its title, and how a figure is written."""

    key: str
    title: str
    form: str
    ratio: bool = True


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns, in order."""
    return (
        Column("one_stream", "events/s, 1 stream", ",.0f"),
        Column("many_streams", f"events/s, {sizes.streams} streams", ",.0f"),
        Column("cpu", "CPU µs/event", ",.1f"),
        Column("first_event", "first event, ms", ",.2f"),
        Column("lone_event", "lone event, µs", ",.0f"),
        Column("idle_memory", f"KiB/stream, {sizes.idle:,} idle", ",.1f"),
        Column("idle_threads", "threads/stream", ".2f", ratio=False),
        Column("crowd_memory", f"KiB/stream, {sizes.crowd:,} idle", ",.1f"),
        Column("crowd_threads", "threads/stream", ".2f", ratio=False),
    )


def markdown(contenders: tuple[Contender, ...], rounds: list[Round], sizes: Sizes) -> str:
    """Return the table, with what it was measured on and the notes."""
    rows = table(contenders, rounds, columns(sizes))
    notes = [line for contender in contenders for line in remarks(contender, rounds)]
    return "\n".join([*rows, "", _key(len(rounds), sizes), "", surroundings(), "", *notes]).rstrip() + "\n"


def table(contenders: tuple[Contender, ...], rounds: list[Round], shown: tuple[Column, ...]) -> list[str]:
    """Return the lines of a table."""
    head = ["| | " + " | ".join(column.title for column in shown) + " |", "| --- |" + " ---: |" * len(shown)]
    return [*head, *(_row(contender, rounds, shown) for contender in contenders)]


def write(path: Path, text: str, name: str) -> None:
    """Put text between the markers of this name in a page, or at its end where there are none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text() if path.exists() else "# Performance\n"
    block = f"{begin}\n{text}{end}\n"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n?", re.DOTALL)
    path.write_text(between.sub(lambda _: block, page) if between.search(page) else f"{page}\n{block}")


def _row(contender: Contender, rounds: list[Round], shown: tuple[Column, ...]) -> str:
    return f"| {contender.name} | " + " | ".join(_cell(contender.name, rounds, column) for column in shown) + " |"


def _cell(name: str, rounds: list[Round], column: Column) -> str:
    figures = [one[name].figures[column.key] for one in rounds if column.key in one[name].figures]
    if not figures:
        return NONE
    written = format(median(figures) + 0.0, column.form)
    ratios = list(_ratios(name, rounds, column.key)) if column.ratio and name != BASELINE else []
    return f"{written} ({median(ratios):.2f}{TIMES})" if ratios else written


def _ratios(name: str, rounds: list[Round], key: str) -> Iterator[float]:
    for one in rounds:
        figure, baseline = one[name].figures.get(key), one[BASELINE].figures.get(key)
        if figure is not None and baseline:
            yield figure / baseline


def _key(runs: int, sizes: Sizes) -> str:
    return (
        f"Medians of {runs} run{'s' * (runs != 1)}; in brackets the median ratio to {BASELINE} of the same run. "
        f"Each server is a fresh process with one uvicorn worker on loopback. "
        f"Floods are {sizes.one_stream:,} events on one stream and {sizes.events_each:,} on each of {sizes.streams}, "
        f"or what comes in {sizes.seconds:g} s, timed from the request that releases them to the last byte; CPU is the "
        f"server's over the latter. The first event is timed from "
        f"the connection attempt, over {sizes.first_events} connections; a lone event from the source to the client, "
        f"over {sizes.lone_events} events. Memory is what the server's resident set grows by."
    )


def surroundings() -> str:
    """Say what it was measured on."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return ", ".join([system, *filter(None, map(_version, PACKAGES))]) + "."


def _version(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def remarks(contender: Contender, rounds: list[Round]) -> Iterator[str]:
    """Return the notes on a contender, and why what was not measured was not."""
    if contender.note:
        yield f"- {contender.name}: {contender.note}."
    problems = {(measure, reason) for one in rounds for measure, reason in one[contender.name].problems.items()}
    for measure, reason in sorted(problems):
        yield f"- {contender.name}, {measure.replace('_', ' ')}: {reason}."
