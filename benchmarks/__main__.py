"""The command: ``python -m benchmarks``, or one part of it, ``python -m benchmarks fanout``."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks import contenders, rounds, sizes, table
from benchmarks.contenders import BASELINE, Contender
from benchmarks.fanout import rounds as fanout_rounds
from benchmarks.fanout import sizes as fanout_sizes
from benchmarks.fanout import table as fanout_table
from benchmarks.fanout.contenders import FANOUT_CONTENDERS

C = TypeVar("C", bound=Contender)

PARTS = {"streams": "benchmarks", "fanout": "fan-out"}
"""Parts, and the names of their markers in a page."""

NAMES = sorted({contender.name for contender in (*contenders.CONTENDERS, *FANOUT_CONTENDERS)})


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare what streams cost.")
    parser.add_argument("part", nargs="?", choices=PARTS, help="only what a stream costs, or only fan-out")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=f"some of: {'; '.join(NAMES)}")
    parser.add_argument("--runs", type=int, default=5, help="medians are taken over them (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one run of small sizes, to see that it works")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the markers of this page")
    return parser.parse_args()


def streams(names: list[str] | None, runs: int, quick: bool) -> str:
    """Measure what a stream costs, and return the table."""
    chosen, size = _chosen(contenders.CONTENDERS, names), sizes.QUICK if quick else sizes.FULL
    return table.markdown(chosen, rounds.play(chosen, runs, size), size)


def fanout(names: list[str] | None, runs: int, quick: bool) -> str:
    """Measure fan-out, and return the tables."""
    chosen, size = _chosen(FANOUT_CONTENDERS, names), fanout_sizes.FANOUT_QUICK if quick else fanout_sizes.FANOUT_FULL
    return fanout_table.markdown(chosen, fanout_rounds.play(chosen, runs, size), size)


def _chosen(everyone: tuple[C, ...], names: list[str] | None) -> tuple[C, ...]:
    return tuple(one for one in everyone if not names or one.name in (*names, BASELINE))


def main() -> int:
    """Measure, and print the tables."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = arguments()
    parts: dict[str, Callable[[list[str] | None, int, bool], str]] = {"streams": streams, "fanout": fanout}
    try:
        for part in [options.part] if options.part else parts:
            text = parts[part](options.only, 1 if options.quick else max(options.runs, 1), options.quick)
            print(text)
            if options.write:
                table.write(options.write, text, PARTS[part])
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
