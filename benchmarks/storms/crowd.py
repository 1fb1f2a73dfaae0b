"""What happens when very many clients open streams faster than the server can."""

import time
from pathlib import Path
from statistics import quantiles
from typing import Protocol

from benchmarks.clients.arrivals import arrivals
from benchmarks.results import Figures
from benchmarks.servers import Server
from benchmarks.storms.holding import PATH

COUNTERS = Path("/proc/net/netstat")
"""Counters of the network of this machine. Other systems have none here."""


class Sizes(Protocol):
    """Name the sizes that the measure needs."""

    clients: int
    """Clients without a session that open a stream each."""
    rate: int
    """Clients that arrive in a second."""


async def crowd(server: Server, sizes: Sizes) -> Figures:
    """Connections that fail, seconds until all streams are open, and the time to the first event."""
    overflows, began = listen_overflows(), time.perf_counter()
    async with arrivals(server, PATH, sizes.clients, sizes.rate) as clients:
        seconds = time.perf_counter() - began
        overflows = listen_overflows() - overflows
    centiles = quantiles(clients.waits, n=100)
    return {
        **{f"crowd_{what}": float(count) for what, count in clients.counts.items()},
        "crowd_overflows": overflows,
        "crowd_seconds": seconds,
        "crowd_p50": centiles[49],
        "crowd_p99": centiles[98],
    }


def listen_overflows() -> float:
    """Return how many connections found the queue of a listening socket full, or not-a-number if it is unknown."""
    try:
        lines = [line.split() for line in COUNTERS.read_text().splitlines()]
    except OSError:
        return float("nan")
    names, figures = (line for line in lines if line[0] == "TcpExt:")
    return float(figures[names.index("ListenOverflows")])
