"""What it costs to open, to hold and to close streams."""

from dataclasses import dataclass

from benchmarks.clients.visitors import VISITORS
from benchmarks.contenders import ANSWER, DJANGO, STORMS
from benchmarks.results import Results
from benchmarks.storms import opening
from benchmarks.suites.suite import TIMES, Column, Sitting, Suite, Table

OPENINGS = ("signed_in", "kept", "anonymous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of clients, and the times."""

    warm_up: float = 0.5
    """Seconds before streams that are opened and closed count."""
    visits: float = 2.5
    """Seconds in which streams are opened and closed."""


def _costs(opening: str) -> tuple[Column, ...]:
    return (
        Column(f"{opening}_rate", "streams/s", ",.0f"),
        Column(f"{opening}_cpu", "CPU ms/stream", ".3f"),
        Column(f"{opening}_cpu", f"CPU, {TIMES} a JSON answer", ".2f", to=ANSWER),
        Column(f"{opening}_cpu", f"CPU, {TIMES} plain Django", ".2f", to=DJANGO),
    )


def _method(results: Results) -> str:
    sizes = results.sizes
    busy = {
        one.name: max(figure for name in OPENINGS for figure in results.figures(one.name, f"{name}_busy") or [0])
        for one in results.contenders
    }
    busiest = max(busy, key=busy.__getitem__)
    return (
        f"Each server is a fresh process with one uvicorn worker on loopback. The Django projects have the middleware "
        f"of security, sessions, `CommonMiddleware` and authentication, `SessionAuthentication`, and sessions and "
        f"users in an SQLite database. {VISITORS} clients of one process request streams for {sizes.visits:g} s, each "
        f"the next when its last has ended. CPU is that of the server's process over all of them, until it has "
        f"nothing left to do. The process of the clients needed {busy[busiest]:.0f} % of a core with {busiest}, and "
        f"at most {max([0, *(busy[name] for name in busy if name != busiest)]):.0f} % with others."
    )


STORMS_SUITE = Suite(
    summary="the cost of opening, holding and closing streams",
    marker="storms",
    contenders=STORMS,
    path=opening.PATH,
    sittings=(Sitting((opening.signed_in, opening.kept, opening.anonymous)),),
    full=Sizes(),
    quick=Sizes(warm_up=0.2, visits=0.4),
    tables=(
        Table(
            _costs("signed_in"),
            "Streams of one event that are opened and closed by a user with a session, over a connection each, as by "
            "`EventSource`:",
        ),
        Table(_costs("kept"), "The same over connections that are kept for the next request, as by a load generator:"),
        Table(
            _costs("anonymous"),
            "The same over a connection each, without a session, so that there are no queries:",
        ),
    ),
    method=_method,
)
