"""Rounds: in each, every contender is measured once."""

import sys
from asyncio import wait_for
from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks.contenders import Contender
from benchmarks.processes import child
from benchmarks.results import Report, Results, Round
from benchmarks.servers import Server, serving
from benchmarks.suites.suite import Sitting, Suite

TIME_LIMIT = 150
"""Seconds that a measure in an event loop may take."""


def play(suite: Suite, names: list[str] | None, runs: int, sizes: Any) -> Results:
    """Measure the named contenders and the baseline in each run, one after the other for each sitting.

    So changes of the machine's speed affect all contenders alike.
    """
    chosen = tuple(one for one in suite.contenders if not names or one.name in (*names, suite.baseline))
    rounds = [_round(suite, _rotated(chosen, run), sizes, f"run {run + 1}/{runs}") for run in range(runs)]
    return Results(chosen, sizes, rounds)


def _rotated(contenders: tuple[Contender, ...], run: int) -> tuple[Contender, ...]:
    first = run % len(contenders)
    return contenders[first:] + contenders[:first]


def _round(suite: Suite, contenders: tuple[Contender, ...], sizes: Any, label: str) -> Round:
    reports = {contender.name: Report() for contender in contenders}
    for sitting in suite.sittings:
        for contender in contenders:
            if sitting.only and contender.name not in sitting.only:
                continue
            report = _report(suite, contender, sitting, sizes)
            print(f"{label}: {contender.name}: {report}", file=sys.stderr)
            reports[contender.name].add(report)
    return reports


def _report(suite: Suite, contender: Contender, sitting: Sitting, sizes: Any) -> Report:
    """Measure on a fresh server, and from a fresh process."""
    if contender.missing:
        return _failed(sitting, f"{contender.missing} is not installed")
    try:
        with _server(suite, contender, sitting) as server, child(_measure, sitting, server, sizes) as client:
            report: Report = client.recv()
            return report
    except EOFError:
        return _failed(sitting, "the client process ended")
    except Exception as exc:
        return _failed(sitting, _reason(exc))


def _server(suite: Suite, contender: Contender, sitting: Sitting) -> AbstractContextManager[Server]:
    if sitting.has_server:
        return serving(contender, suite.path, suite.backlog)
    return nullcontext(Server(contender, pid=0, port=0))


def _measure(pipe: Connection, sitting: Sitting, server: Server, sizes: Any) -> None:
    report = Report()
    for measure in sitting.measures:
        try:
            figures = measure(server, sizes)
            report.figures.update(uvloop.run(wait_for(figures, TIME_LIMIT)) if isawaitable(figures) else figures)
        except Exception as exc:
            report.problems[measure.__name__] = _reason(exc)
    pipe.send(report)


def _failed(sitting: Sitting, reason: str) -> Report:
    return Report(problems={measure.__name__: reason for measure in sitting.measures})


def _reason(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".rstrip(": ")
