"""The client process: reads a job as JSON, measures, and writes figures and problems as JSON."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks.limits import LIFETIME, raise_open_files
from benchmarks.measures import MEASURES, Figures, warm_up
from benchmarks.servers import Server
from benchmarks.sizes import Sizes

TIME_LIMIT = 60
"""Seconds that a single measure may take."""


@dataclass(slots=True)
class Report:
    """Hold what was measured, and why the rest was not."""

    figures: Figures = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """Reasons by measure."""

    def add(self, other: "Report") -> None:
        self.figures.update(other.figures)
        self.problems.update(other.problems)

    def __str__(self) -> str:
        figures = [f"{name} {value:,.2f}" for name, value in self.figures.items()]
        return ", ".join([*figures, *(f"no {name}: {reason}" for name, reason in self.problems.items())])


def measured(server: Server, measures: tuple[str, ...], sizes: Sizes) -> Report:
    """Run measures in a process of their own."""
    job = json.dumps({"server": asdict(server), "measures": measures, "sizes": asdict(sizes)})
    command = [sys.executable, "-m", "benchmarks.client", job]
    try:
        output = subprocess.run(command, check=True, capture_output=True, timeout=LIFETIME).stdout
    except subprocess.SubprocessError as exc:
        return Report(problems=dict.fromkeys(measures, f"the client failed: {type(exc).__name__}"))
    return Report(**json.loads(output))


async def _run(server: Server, measures: list[str], sizes: Sizes) -> Report:
    report = Report()
    try:
        await warm_up(server)
        for name in measures:
            await _measure(name, server, sizes, report)
    except Exception as exc:
        report.problems.update(dict.fromkeys(measures, f"no warm-up, {_reason(exc)}"))
    return report


async def _measure(name: str, server: Server, sizes: Sizes, report: Report) -> None:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            report.figures.update(await MEASURES[name](server, sizes))
    except Exception as exc:
        report.problems[name] = _reason(exc)


def _reason(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".rstrip(": ")


def main(job: str) -> None:
    """Do a job."""
    signal.alarm(LIFETIME)
    raise_open_files()
    task = json.loads(job)
    report = uvloop.run(_run(Server(**task["server"]), task["measures"], Sizes(**task["sizes"])))
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main(sys.argv[1])
