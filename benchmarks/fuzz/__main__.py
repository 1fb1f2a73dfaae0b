"""The command: ``python -m benchmarks.fuzz``."""

import argparse
import secrets
import sys

from django.conf import settings

settings.configure(
    SECRET_KEY="fuzz",
    ADRF_SSE={"CHANNEL_HISTORY": 5},
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)

from benchmarks.fuzz import channels, configuration, encoding, http, parsing  # noqa: E402
from benchmarks.fuzz.kinds import Outcome, report, run  # noqa: E402

CASES = 1_000_000

KINDS = {
    kind.name: kind for kind in (*encoding.KINDS, *parsing.KINDS, *configuration.KINDS, *channels.KINDS, http.KIND)
}

DESCRIPTION = """\
Run random cases through the package, and compare what it does with an independent reference. A failing case is printed
with the command that repeats it. The exit status is 1 if a case failed.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=DESCRIPTION)
    add = parser.add_argument
    add("--cases", type=int, default=CASES, metavar="N", help=f"run N cases of all kinds together (default: {CASES:,})")
    add("--seed", default=secrets.token_hex(4), help="repeat the cases of a run that printed this seed")
    add("--only", nargs="+", metavar="KIND", choices=KINDS, help=f"run these kinds only: {', '.join(KINDS)}")
    add("--case", type=int, metavar="N", help="run one case only; needs --seed, and --only with one kind")
    return parser.parse_args()


def main() -> int:
    """Run the cases."""
    options = arguments()
    chosen = [KINDS[name] for name in options.only or KINDS]
    shares = sum(kind.share for kind in chosen)
    print(f"seed {options.seed}", flush=True)
    outcomes: list[Outcome] = []
    for kind in chosen:
        count = max(1, round(options.cases * kind.share / shares))
        numbers = range(count) if options.case is None else range(options.case, options.case + 1)
        outcome = (http.run if kind is http.KIND else run)(kind, options.seed, numbers)
        outcomes.append(outcome)
        print(f"{outcome.kind:>10}  {outcome.cases:>9,} cases  {outcome.seconds:>6.1f} s", flush=True)
        for failure in outcome.failures.values():
            print(report(failure, kind.name, options.seed), flush=True)
    failed = sum(failure.times for outcome in outcomes for failure in outcome.failures.values())
    print(f"{'all':>10}  {sum(outcome.cases for outcome in outcomes):>9,} cases, {failed:,} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
