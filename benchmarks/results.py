"""Results: the figures of every run, and why others are missing."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders import BASELINE, Contender

Figures = dict[str, float]


@dataclass(slots=True)
class Report:
    """Hold a contender's figures of one run, and the problems by measure."""

    figures: Figures = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Add what another report holds."""
        self.figures.update(other.figures)
        self.problems.update(other.problems)

    def __str__(self) -> str:
        figures = [f"{key} {value:,.2f}" for key, value in self.figures.items()]
        return ", ".join([*figures, *(f"no {measure}: {reason}" for measure, reason in self.problems.items())])


Round = dict[str, Report]
"""Reports of one run, by the names of the contenders."""


@dataclass(frozen=True, slots=True)
class Results:
    """Hold all runs of a suite."""

    contenders: tuple[Contender, ...]
    sizes: Any
    rounds: list[Round]

    def figures(self, name: str, key: str) -> list[float]:
        """Return a contender's figures of the runs that have them."""
        return [one[name].figures[key] for one in self.rounds if key in one[name].figures]

    def ratios(self, name: str, key: str, to: str = BASELINE) -> list[float]:
        """Return the ratios of a contender's figures to those of another in the same run."""
        rounds = [one for one in self.rounds if to in one]
        pairs = [(one[name].figures.get(key), one[to].figures.get(key)) for one in rounds]
        return [figure / other for figure, other in pairs if figure is not None and other]
