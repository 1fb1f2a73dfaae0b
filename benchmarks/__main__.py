"""The command: ``python -m benchmarks``."""

import argparse
import signal
import sys
from pathlib import Path

from benchmarks.contenders import CONTENDERS, chosen
from benchmarks.rounds import play
from benchmarks.sizes import FULL, QUICK
from benchmarks.table import markdown, write


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare what streams cost.")
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"some of: {'; '.join(names)}")
    parser.add_argument("--runs", type=int, default=5, help="medians are taken over them (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one run of small sizes, to see that it works")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of this page")
    return parser.parse_args()


def main() -> int:
    """Measure, and print the table."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = arguments()
    contenders, sizes = chosen(options.only), QUICK if options.quick else FULL
    try:
        text = markdown(contenders, play(contenders, 1 if options.quick else max(options.runs, 1), sizes), sizes)
    except KeyboardInterrupt:
        return 130
    print(text)
    if options.write:
        write(options.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
