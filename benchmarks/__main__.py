"""The command: ``python -m benchmarks``, or one suite of it, ``python -m benchmarks fanout``."""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.results import Results
from benchmarks.rounds import play
from benchmarks.suites import SUITES
from benchmarks.table import markdown, surroundings, write

USAGE = f"python -m benchmarks [{' | '.join(SUITES)}] [options]"

DESCRIPTION = """\
Measure what Server-Sent Events cost with adrf_sse and with others, and print
the figures as Markdown tables.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        usage=USAGE,
        description=DESCRIPTION,
        epilog="\n\n".join(map(_contenders, SUITES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = sorted({contender.name for suite in SUITES.values() for contender in suite.contenders})
    add("suite", nargs="?", metavar="suite", choices=SUITES, help="measure one suite only: " + _summaries())
    add("--only", nargs="+", metavar="NAME", choices=names, help="measure these contenders and their baseline only")
    add("--runs", type=int, default=5, metavar="N", help="measure N times and show the medians (default: 5)")
    add("--quick", action="store_true", help="measure once, with small sizes, to see that everything works")
    add("--write", type=Path, metavar="FILE", help="put the tables between their markers in this page")
    add("--json", type=Path, metavar="FILE", help="write the figures of every run, for python -m benchmarks.compare")
    return parser.parse_args()


def _summaries() -> str:
    return ", or ".join(f"{name} ({suite.summary})" for name, suite in SUITES.items())


def _contenders(suite: str) -> str:
    return "\n  ".join([f"contenders of {suite}:", *(contender.name for contender in SUITES[suite].contenders)])


def measure(name: str, options: argparse.Namespace) -> Results:
    """Measure a suite, show its tables, and return its figures."""
    suite = SUITES[name]
    runs, sizes = (1, suite.quick) if options.quick else (max(options.runs, 1), suite.full)
    results = play(suite, options.only, runs, sizes)
    text = markdown(suite, results)
    print(text)
    if options.write:
        write(options.write, text, suite.marker)
    return results


def main() -> int:
    """Measure the suites."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = arguments()
    raw: dict[str, Any] = {"surroundings": surroundings(), "suites": {}}
    failures: list[str] = []
    try:
        for name in [options.suite] if options.suite else SUITES:
            results = measure(name, options)
            failures += SUITES[name].failures(results)
            raw["suites"][name] = asdict(results)
            if options.json:
                options.json.write_text(json.dumps(raw, indent=1))
    except KeyboardInterrupt:
        return 130
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
