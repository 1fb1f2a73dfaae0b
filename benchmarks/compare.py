"""Compare the raw figures of two runs: ``python -m benchmarks.compare A.json B.json``.

``python -m benchmarks --json FILE`` writes such files.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.suites import SUITES

Raw = dict[str, Any]

DESCRIPTION = """Print the medians of two runs for each contender and column, their ratio, and the smallest and largest
figures."""

HEAD = ("contender", "figure", "A", "B", "B/A", "A, min..max", "B, min..max")


def comparison(a: Raw, b: Raw) -> Iterator[str]:
    """Yield the lines for the suites that both files have."""
    for name in filter(b["suites"].__contains__, a["suites"]):
        ours, theirs = a["suites"][name], b["suites"][name]
        differ = "" if ours["sizes"] == theirs["sizes"] else " (of different sizes)"
        yield f"\n{name}: medians of {len(ours['rounds'])} and {len(theirs['rounds'])} runs{differ}\n"
        yield from _aligned([HEAD, *_rows(name, ours["rounds"], theirs["rounds"])])


def _rows(suite: str, a: list[Raw], b: list[Raw]) -> Iterator[tuple[str, ...]]:
    for contender in a[0]:
        for key in (column.key for table in SUITES[suite].tables for column in table.columns):
            ours, theirs = _figures(a, contender, key), _figures(b, contender, key)
            if ours and theirs:
                yield contender, key, *_cells(ours, theirs)


def _figures(runs: list[Raw], contender: str, key: str) -> list[float]:
    figures = [run[contender]["figures"].get(key) for run in runs if contender in run]
    return [figure for figure in figures if figure is not None]


def _cells(a: list[float], b: list[float]) -> tuple[str, ...]:
    ratio = f"{median(b) / median(a):.2f}" if median(a) else "—"
    return _written(median(a)), _written(median(b)), ratio, *(f"{_written(min(x))}..{_written(max(x))}" for x in (a, b))


def _written(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, second, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[2:], strict=True)]
        yield "  ".join([f"{first:<{widths[0]}}", f"{second:<{widths[1]}}", *cells])


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=DESCRIPTION)
    parser.add_argument("a", type=Path, metavar="A.json", help="the raw figures of one run of the benchmarks")
    parser.add_argument("b", type=Path, metavar="B.json", help="the raw figures of another run of the benchmarks")
    options = parser.parse_args()
    a, b = (json.loads(path.read_text()) for path in (options.a, options.b))
    print(f"A: {a['surroundings']}", f"B: {b['surroundings']}", *comparison(a, b), sep="\n")


if __name__ == "__main__":
    main()
