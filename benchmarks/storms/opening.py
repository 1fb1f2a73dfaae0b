"""What it costs to open and close a stream of one event."""

import gc
from typing import Protocol

from benchmarks.apps.sessions import COOKIE
from benchmarks.clients.connections import request
from benchmarks.clients.visitors import Visitors, Visits
from benchmarks.contenders import CHANNEL
from benchmarks.results import Figures
from benchmarks.servers import Server

PATH = "/few/1"

WHOLE = (b"0\r\n\r\n", b"}")
"""The end of a chunked response, and of a JSON answer."""

ONE_EVENT = (b"\n\n\r\n",)
"""The end of a chunk that ends with an event."""


class Sizes(Protocol):
    """Name the sizes that the measures need."""

    warm_up: float
    """Seconds before the figures count."""
    visits: float
    """Seconds in which streams are opened and closed."""


def signed_in(server: Server, sizes: Sizes) -> Figures:
    """Streams a second that a signed-in user opens, over a connection each, and processor time for each."""
    _visits(server, sizes.warm_up, COOKIE)
    return _figures("signed_in", server, sizes, COOKIE)


def anonymous(server: Server, sizes: Sizes) -> Figures:
    """The same without a session."""
    return _figures("anonymous", server, sizes)


def kept(server: Server, sizes: Sizes) -> Figures:
    """The same as ``signed_in()``, over connections that are kept."""
    if server.contender.name == CHANNEL:
        return {}  # the client of a stream that does not end can only cut its connection
    return _figures("kept", server, sizes, COOKIE, keep=True)


def _figures(name: str, server: Server, sizes: Sizes, cookie: str = "", *, keep: bool = False) -> Figures:
    cpu = server.idle_cpu_seconds()
    visits = _visits(server, sizes.visits, cookie, keep=keep)
    cpu = server.idle_cpu_seconds() - cpu
    return {
        f"{name}_rate": visits.rate,
        f"{name}_cpu": 1000 * cpu / visits.count,
        f"{name}_busy": 100 * visits.busy,
    }


def _visits(server: Server, seconds: float, cookie: str, *, keep: bool = False) -> Visits:
    gc.disable()  # this process ends with its measures
    ends = ONE_EVENT if server.contender.name == CHANNEL else WHOLE
    return Visitors(server.port, request(PATH, cookie=cookie), ends, keep=keep).visit(seconds)
