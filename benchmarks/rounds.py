"""Rounds: in each, every contender is measured once."""

import sys
import time
from collections.abc import Iterable

from benchmarks.client import Report, measured
from benchmarks.contenders import Contender
from benchmarks.servers import ServerFailed, serving
from benchmarks.sizes import Sizes

Round = dict[str, Report]
"""Reports by contender."""

SITTINGS = (("first_event", "lone_event", "one_stream", "many_streams"), ("idle",), ("crowd",))
"""Measures that share a server process. Memory is measured in a fresh one."""


def play(contenders: tuple[Contender, ...], runs: int, sizes: Sizes) -> list[Round]:
    """Measure every contender in each run, each time beginning with another one."""
    rounds = []
    for run in range(runs):
        first = run % len(contenders)
        order = contenders[first:] + contenders[:first]
        rounds.append({one.name: _report(one, sizes, f"run {run + 1}/{runs}") for one in order})
    return rounds


def _report(contender: Contender, sizes: Sizes, label: str) -> Report:
    began = time.perf_counter()
    report = Report()
    for measures in _sittings(contender):
        one = _sitting(contender, measures, sizes)
        report.figures.update(one.figures)
        report.problems.update(one.problems)
    print(
        f"{label}: {contender.name} ({time.perf_counter() - began:.1f} s)", *_lines(report), sep="\n", file=sys.stderr
    )
    return report


def _sittings(contender: Contender) -> Iterable[tuple[str, ...]]:
    return (measures for measures in SITTINGS if contender.crowd or measures != ("crowd",))


def _sitting(contender: Contender, measures: tuple[str, ...], sizes: Sizes) -> Report:
    if contender.missing:
        return Report(problems=dict.fromkeys(measures, f"{contender.missing} is not installed"))
    try:
        with serving(contender) as server:
            return measured(server, measures, sizes)
    except ServerFailed as exc:
        return Report(problems=dict.fromkeys(measures, str(exc)))


def _lines(report: Report) -> list[str]:
    figures = ", ".join(f"{name} {value:,.2f}" for name, value in report.figures.items())
    return [f"    {figures}", *(f"    {name}: {reason}" for name, reason in report.problems.items())]
