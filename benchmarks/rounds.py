"""Rounds: in each, every contender is measured once."""

import sys

from benchmarks.client import Report, measured
from benchmarks.contenders import Contender
from benchmarks.servers import ServerFailed, serving
from benchmarks.sizes import Sizes

Round = dict[str, Report]
"""Reports by contender."""

SITTINGS = (("first_event", "lone_event"), ("one_stream", "many_streams"), ("idle",), ("crowd",))
"""Measures that share a server process."""


def play(contenders: tuple[Contender, ...], runs: int, sizes: Sizes) -> list[Round]:
    """Measure every contender in each run; one after the other for each sitting, so that drift hits all alike."""
    return [_round(_rotated(contenders, run), sizes, f"run {run + 1}/{runs}") for run in range(runs)]


def _rotated(contenders: tuple[Contender, ...], run: int) -> tuple[Contender, ...]:
    first = run % len(contenders)
    return contenders[first:] + contenders[:first]


def _round(contenders: tuple[Contender, ...], sizes: Sizes, label: str) -> Round:
    reports = {contender.name: Report() for contender in contenders}
    for measures in SITTINGS:
        for contender in contenders:
            if contender.crowd or "crowd" not in measures:
                report = _sitting(contender, measures, sizes)
                print(f"{label}: {contender.name}: {report}", file=sys.stderr)
                reports[contender.name].add(report)
    return reports


def _sitting(contender: Contender, measures: tuple[str, ...], sizes: Sizes) -> Report:
    if contender.missing:
        return Report(problems=dict.fromkeys(measures, f"{contender.missing} is not installed"))
    try:
        with serving(contender) as server:
            return measured(server, measures, sizes)
    except ServerFailed as exc:
        return Report(problems=dict.fromkeys(measures, str(exc)))
