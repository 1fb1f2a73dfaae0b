"""Rounds of fan-out: in each, every contender is measured once."""

import sys

from benchmarks.client import Report
from benchmarks.fanout.contenders import Fanout
from benchmarks.fanout.measures import FANOUT_MEASURES
from benchmarks.fanout.programs import served
from benchmarks.fanout.sizes import FanoutSizes
from benchmarks.rounds import Round


def play(contenders: tuple[Fanout, ...], runs: int, sizes: FanoutSizes) -> list[Round]:
    """Measure every contender in each run; one after the other for each measure, so that drift hits all alike."""
    return [_round(contenders, sizes, f"run {run + 1}/{runs}") for run in range(runs)]


def _round(contenders: tuple[Fanout, ...], sizes: FanoutSizes, label: str) -> Round:
    reports = {contender.name: Report() for contender in contenders}
    for measure in FANOUT_MEASURES:
        for contender in contenders:
            report = _measured(contender, measure, sizes)
            print(f"{label}: {contender.name}: {report}", file=sys.stderr)
            reports[contender.name].add(report)
    return reports


def _measured(contender: Fanout, measure: str, sizes: FanoutSizes) -> Report:
    """Measure once, on a fresh server."""
    if contender.missing:
        return Report(problems={measure: f"{contender.missing} is not installed"})
    try:
        with served(contender) as server:
            return Report(FANOUT_MEASURES[measure](contender, server, sizes))
    except Exception as exc:
        return Report(problems={measure: f"{type(exc).__name__}: {exc}".rstrip(": ")})
