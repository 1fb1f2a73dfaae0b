"""What a suite declares."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import BASELINE, Contender
from benchmarks.results import Figures, Results
from benchmarks.servers import Server

TIMES = "\N{MULTIPLICATION SIGN}"

Measure = Callable[[Server, Any], Figures | Awaitable[Figures]]
"""A function or coroutine function of a running server and the suite's sizes."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """Name the measures that share a fresh server, and the contenders that take part."""

    measures: tuple[Measure, ...]
    only: tuple[str, ...] = ()
    """Names of contenders; empty for all of them."""
    has_server: bool = True
    """Otherwise, the measures start the servers that they need, and are given none that runs."""


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column: the key of its figures, its title, and the format of a figure."""

    key: str
    title: str
    """May refer to the sizes, as in ``"KiB/stream, {sizes.idle:,} idle"``."""
    form: str
    ratio: bool = True
    """Each figure is followed by its ratio to the baseline."""
    to: str = ""
    """Name of a contender: the column has only the ratios to its figures."""


@dataclass(frozen=True, slots=True)
class Table:
    """Describe a table."""

    columns: tuple[Column, ...]
    heading: str = ""
    """A sentence that stands before the table."""
    only: tuple[str, ...] = ()
    """Names of contenders; empty for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Describe what is measured, of which contenders, and how the figures are shown."""

    summary: str
    """What is measured, in a few words."""
    marker: str
    """Name of the markers between which the tables stand in a page."""
    contenders: tuple[Contender, ...]
    baseline: str = BASELINE
    """Name of the contender that the others are compared with, which is always measured."""
    path: str = ""
    """Path that a Python server answers once it is ready."""
    backlog: int = 4096
    """Connections that may wait until a Python server accepts them."""
    sittings: tuple[Sitting, ...]
    full: Any
    """The sizes, a dataclass of the suite."""
    quick: Any
    """Small sizes, to see that everything works."""
    tables: tuple[Table, ...]
    method: Callable[[Results], str]
    """Returns sentences on how the figures were measured."""
    remarks: Callable[[str, Results], list[str]] = lambda name, results: []
    """Returns remarks on a contender's figures."""
    failures: Callable[[Results], list[str]] = lambda results: []
    """Returns what makes the command fail."""
