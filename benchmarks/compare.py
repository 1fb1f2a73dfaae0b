"""Compare two files that ``python -m benchmarks --json FILE`` wrote: ``python -m benchmarks.compare A.json B.json``."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.suites import SUITES

DESCRIPTION = "Print the medians of two runs for each contender and column, their ratio, and the range of the figures."

HEAD = ("contender", "figure", "A", "B", "B/A", "A, min..max", "B, min..max")


def comparison(a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for the suites that both files have."""
    for suite in filter(b["suites"].__contains__, a["suites"]):
        ours, theirs = a["suites"][suite], b["suites"][suite]
        sizes = "" if ours["sizes"] == theirs["sizes"] else ", of different sizes"
        yield f"\n{suite}: {len(ours['rounds'])} and {len(theirs['rounds'])} runs{sizes}\n"
        yield from _aligned([HEAD, *_rows(suite, ours["rounds"], theirs["rounds"])])


def _rows(suite: str, a: list[Any], b: list[Any]) -> Iterator[tuple[str, ...]]:
    for contender in SUITES[suite].contenders:
        for key in dict.fromkeys(column.key for table in SUITES[suite].tables for column in table.columns):
            ours, theirs = (_figures(rounds, contender.name, key) for rounds in (a, b))
            if ours and theirs:
                yield contender.name, key, *_cells(ours, theirs)


def _figures(rounds: list[Any], name: str, key: str) -> list[float]:
    figures = [one[name]["figures"] for one in rounds if name in one]
    return [one[key] for one in figures if key in one]


def _cells(a: list[float], b: list[float]) -> tuple[str, ...]:
    ratio = f"{median(b) / median(a):.2f}" if median(a) else "—"
    return _written(median(a)), _written(median(b)), ratio, *(f"{_written(min(x))}..{_written(max(x))}" for x in (a, b))


def _written(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{'<' if n < 2 else '>'}{widths[n]}}" for n, cell in enumerate(row))
        yield "  ".join(cells)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=DESCRIPTION)
    parser.add_argument("files", nargs=2, type=Path, metavar="FILE", help="written by python -m benchmarks --json FILE")
    a, b = (json.loads(path.read_text()) for path in parser.parse_args().files)
    print(f"A: {a['surroundings']}", f"B: {b['surroundings']}", *comparison(a, b), sep="\n")


if __name__ == "__main__":
    main()
