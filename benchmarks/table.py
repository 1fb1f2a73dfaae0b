"""The Markdown tables: medians over the runs, and their ratios to the baseline of the same run."""

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.contenders import Contender
from benchmarks.results import Results
from benchmarks.suites.suite import TIMES, Column, Suite, Table

NONE = "—"
PACKAGES = (
    *("adrf-sse", "django", "djangorestframework", "adrf", "uvicorn", "uvloop", "httptools", "orjson"),
    *("django-flosse", "django-eventstream", "sse-starlette", "starlette", "fastapi", "redis"),
)


def markdown(suite: Suite, results: Results) -> str:
    """Return the tables of a suite, how and on what they were measured, and the notes."""
    blocks = [_table(table, suite.baseline, results) for table in suite.tables]
    notes = [f"- {note}." for contender in results.contenders for note in _notes(suite, contender, results)]
    method = f"{_medians(len(results.rounds), suite.baseline)} {suite.method(results)}"
    blocks += [method, surroundings(), "\n".join(notes)]
    return "\n\n".join(blocks).rstrip() + "\n"


def write(path: Path, text: str, marker: str) -> None:
    """Put text between the markers of this name in a page, or at its end if it has none."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    page = path.read_text() if path.exists() else "# Performance\n"
    block = f"{begin}\n{text}{end}\n"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n?", re.DOTALL)
    path.write_text(between.sub(lambda _: block, page) if between.search(page) else f"{page}\n{block}")


def surroundings() -> str:
    """Return a sentence on the machine and the versions of the packages."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return ", ".join([system, *filter(None, map(_version, PACKAGES))]) + "."


def _version(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def _table(table: Table, baseline: str, results: Results) -> str:
    titles = [column.title.format(sizes=results.sizes) for column in table.columns]
    rows = [
        _row([contender.name, *(_cell(contender.name, baseline, results, column) for column in table.columns)])
        for contender in results.contenders
        if not table.only or contender.name in table.only
    ]
    heading = [table.heading, ""] if table.heading else []
    return "\n".join([*heading, _row(["", *titles]), _row(["---", *["---:"] * len(titles)]), *rows])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _cell(name: str, baseline: str, results: Results, column: Column) -> str:
    if column.to:
        return _median(results.ratios(name, column.key, column.to), column.form) if name != column.to else NONE
    written = _median(results.figures(name, column.key), column.form)
    ratios = results.ratios(name, column.key, baseline) if column.ratio and name != baseline else []
    return f"{written} ({median(ratios):.2f}{TIMES})" if ratios else written


def _median(figures: list[float], form: str) -> str:
    return format(median(figures) + 0.0, form) if figures else NONE


def _medians(runs: int, baseline: str) -> str:
    return f"Medians of {runs} run{'s' * (runs != 1)}; in brackets the median ratio to {baseline} of the same run."


def _notes(suite: Suite, contender: Contender, results: Results) -> Iterator[str]:
    if contender.note:
        yield f"{contender.name}: {contender.note}"
    for measure, reason in sorted({item for one in results.rounds for item in one[contender.name].problems.items()}):
        yield f"{contender.name}, {measure.replace('_', ' ')}: {reason}"
    yield from suite.remarks(contender.name, results)
