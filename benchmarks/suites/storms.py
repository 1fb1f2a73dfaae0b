"""What it costs to open, to hold and to close streams."""

from dataclasses import dataclass

from benchmarks.clients.arrivals import AGAIN
from benchmarks.clients.followers import JITTER
from benchmarks.clients.visitors import VISITORS
from benchmarks.contenders import ANSWER, BASELINE, CHANNEL, DJANGO, FASTAPI, PROCESSES, STORMS, VIEW
from benchmarks.limits import open_files
from benchmarks.results import Results
from benchmarks.storms import opening
from benchmarks.storms.crowd import crowd
from benchmarks.storms.holding import held
from benchmarks.storms.restart import CHANNELS, FOLLOWED, restart
from benchmarks.suites.suite import TIMES, Column, Sitting, Suite, Table

OPENINGS = ("signed_in", "kept", "anonymous")

HELD = (BASELINE, DJANGO, VIEW, CHANNEL, FASTAPI)

CROWD = (BASELINE, DJANGO, VIEW)

RESTARTED = (PROCESSES,)

OPENED = tuple(one.name for one in STORMS if one.name not in RESTARTED)

MUST_BE_NONE = {
    "restart_missed": "events were missed",
    "restart_repeated": "events were repeated or out of order",
    "restart_rejected": "requests were answered with a status other than 200, after which a browser gives up",
}
"""Figures that make the command fail, and what they count."""

BACKLOG = 2048
"""That of uvicorn, if it is not told another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the numbers of clients, and the times."""

    warm_up: float = 0.5
    """Seconds before streams that are opened and closed count."""
    visits: float = 1.5
    """Seconds in which streams are opened and closed."""
    idle: int = 2_000
    """Idle streams."""
    clients: int = 5_000
    """Clients that open a stream each."""
    rate: int = 1_000
    """Clients that arrive in a second."""
    followers: int = 3_000
    """Clients of the servers that are restarted."""


def _costs(opening: str) -> tuple[Column, ...]:
    return (
        Column(f"{opening}_rate", "streams/s", ",.0f"),
        Column(f"{opening}_cpu", "CPU ms/stream", ".3f"),
        Column(f"{opening}_cpu", f"CPU, {TIMES} a JSON answer", ".2f", to=ANSWER),
        Column(f"{opening}_cpu", f"CPU, {TIMES} plain Django", ".2f", to=DJANGO),
    )


def _without_ratios(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*column, ratio=False) for column in columns)


def _method(results: Results) -> str:
    sizes = results.sizes
    busy = {
        one.name: max(figure for name in OPENINGS for figure in results.figures(one.name, f"{name}_busy") or [0])
        for one in results.contenders
    }
    busiest = max(busy, key=busy.__getitem__)
    others = max([0, *(share for name, share in busy.items() if name != busiest)])
    return (
        f"Each server is a fresh process with one uvicorn worker on loopback. The Django projects have the middleware "
        f"of security, sessions, `CommonMiddleware` and authentication, `SessionAuthentication`, and sessions and "
        f"users in an SQLite database. {VISITORS} clients of one process request streams for {sizes.visits:g} s, each "
        f"the next when its last has ended. CPU is that of the server's process over all of them, until it has "
        f"nothing left to do. The process of the clients needed {busy[busiest]:.0f} % of a core with {busiest}, and "
        f"at most {others:.0f} % with others. Memory is the growth of the server's resident set. The "
        f"crowd is {sizes.clients:,} clients; {sizes.rate:,} arrive each second. Refused and reset are first "
        f"attempts; such a client tries again {AGAIN:g} s later. Its first event is timed from its first attempt. The "
        f"listen queue has uvicorn's default length, {BACKLOG:,}. Each process may have {open_files():,} open files, "
        f"because the limit is raised to the system's hard limit. {sizes.followers:,} clients connect to the two "
        f"processes in turn, and follow {FOLLOWED} of {len(CHANNELS)} channels each, to which a process of its own "
        f"publishes about 13 events a second. A process that is restarted receives SIGTERM, and its listening socket "
        f"stays open. After the end of a stream, a client waits for as long as `retry` said, and up to {JITTER:g} s "
        f"more. All are back when the last has received `ready`. The delivery is timed from the call of `publish()`, "
        f"for clients whose stream was open by then. Each client's events are checked."
    )


def _failures(results: Results) -> list[str]:
    restarted = [one for one in results.contenders if one.name in RESTARTED and not one.missing]
    counts = [
        f"{one.name}: {sum(figures):,.0f} {what}"
        for one in restarted
        for key, what in MUST_BE_NONE.items()
        if any(figures := results.figures(one.name, key))
    ]
    problems = [reports[one.name].problems.values() for reports in results.rounds for one in restarted]
    return counts + [reason for reasons in problems for reason in reasons]


STORMS_SUITE = Suite(
    summary="the cost of opening, holding and closing streams",
    marker="storms",
    contenders=STORMS,
    path=opening.PATH,
    backlog=BACKLOG,
    sittings=(
        Sitting((opening.signed_in, opening.kept, opening.anonymous), only=OPENED),
        Sitting((held,), only=HELD),
        Sitting((crowd,), only=CROWD),
        Sitting((restart,), only=RESTARTED, has_server=False),
    ),
    full=Sizes(),
    quick=Sizes(warm_up=0.2, visits=0.4, idle=100, clients=200, followers=100),
    tables=(
        Table(
            _costs("signed_in"),
            "Streams of one event that are opened and closed by a user with a session, over a connection each, as by "
            "`EventSource`:",
            OPENED,
        ),
        Table(
            _costs("kept"),
            "The same over connections that are kept for the next request, as by a load generator:",
            OPENED,
        ),
        Table(
            _costs("anonymous"),
            "The same over a connection each, without a session, so that there are no queries:",
            OPENED,
        ),
        Table(
            (
                Column("held_memory", "KiB/stream, {sizes.idle:,} idle", ",.1f"),
                Column("close_cpu", "CPU ms/close", ",.3f"),
            ),
            "Idle streams of a user with a session, whose clients then leave:",
            HELD,
        ),
        Table(
            _without_ratios(
                ("crowd_refused", "refused", ",.0f"),
                ("crowd_reset", "reset", ",.0f"),
                ("crowd_overflows", "overflows of the listen queue", ",.0f"),
                ("crowd_seconds", "last stream open, s", ",.1f"),
                ("crowd_p50", "first event, p50, s", ",.2f"),
                ("crowd_p99", "p99, s", ",.2f"),
            ),
            "A crowd of clients without a session, who arrive faster than a Django project can serve them:",
            CROWD,
        ),
        Table(
            _without_ratios(
                ("restart_missed", "events missed", ",.0f"),
                ("restart_repeated", "repeated", ",.0f"),
                ("restart_delivered", "delivered", ",.0f"),
                ("restart_failed", "attempts that failed", ",.0f"),
                ("restart_first", "all back, s, first restart", ",.1f"),
                ("restart_second", "second", ",.1f"),
                ("restart_p50", "delivery, p50, ms", ",.1f"),
                ("restart_p99", "p99, ms", ",.1f"),
            ),
            "Two processes that are restarted one after the other, while clients with a session follow channels:",
            RESTARTED,
        ),
    ),
    method=_method,
    failures=_failures,
)
