"""Visitors: clients that open streams, read each to its end and open the next, in one loop without a framework."""

import select
import socket
import time
from dataclasses import dataclass

from benchmarks.limits import PATIENCE

VISITORS = 50
"""Visitors at the same time."""

READ_SIZE = 1 << 16

OK = b"HTTP/1.1 200"

REFUSED_SESSION = b"set-cookie: sessionid="
"""Django deletes the cookie of a session that it does not accept."""


@dataclass(frozen=True, slots=True)
class Visits:
    """Hold what visitors did in some time."""

    count: int
    """Responses that were read to their end."""
    seconds: float
    busy: float
    """Share of the time in which the visitors needed a processor."""

    @property
    def rate(self) -> float:
        """The visits in a second."""
        return self.count / self.seconds


class Visitor:
    """Hold a connection, and what came of the response."""

    __slots__ = ("_came", "_ends", "connection")

    def __init__(self, port: int, ends: tuple[bytes, ...]) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._came = b""
        self._ends = ends

    def request(self, request: bytes) -> None:
        """Send a request."""
        self._came = b""
        self.connection.sendall(request)

    def read(self) -> bool:
        """Read what is there, and tell whether it is the end of the response."""
        data = self.connection.recv(READ_SIZE)
        self._came += data
        if not self._came.startswith(OK) or REFUSED_SESSION in self._came or not data:
            raise ConnectionError(f"a whole response was expected, not {self._came[:200]!r}")
        return self._came.endswith(self._ends)


class Visitors:
    """Let visitors request the same thing again and again."""

    def __init__(self, port: int, request: bytes, ends: tuple[bytes, ...], *, keep: bool) -> None:
        self._port, self._request, self._ends, self._keep = port, request, ends, keep
        self._poll = select.epoll()
        self._visitors: dict[int, Visitor] = {}
        self._count = 0

    def visit(self, seconds: float) -> Visits:
        """Visit for some seconds, and until the visits that have begun by then have ended."""
        began, worked = time.perf_counter(), time.process_time()
        try:
            self._visit(began + seconds)
        finally:
            self._close()
        elapsed, worked = time.perf_counter() - began, time.process_time() - worked
        return Visits(self._count, elapsed, worked / elapsed)

    def _visit(self, end: float) -> None:
        for _ in range(VISITORS):
            self._enter()
        while self._visitors:
            is_over = time.perf_counter() > end
            for fd, _ in self._poll.poll(PATIENCE) or self._give_up():
                if self._visitors[fd].read():
                    self._go_on(fd, is_over)

    def _close(self) -> None:
        self._poll.close()
        for visitor in self._visitors.values():
            visitor.connection.close()

    def _go_on(self, fd: int, is_over: bool) -> None:
        self._count += 1
        if self._keep and not is_over:
            self._visitors[fd].request(self._request)
            return
        self._visitors.pop(fd).connection.close()
        if not is_over:
            self._enter()

    def _enter(self) -> None:
        visitor = Visitor(self._port, self._ends)
        visitor.request(self._request)
        self._visitors[visitor.connection.fileno()] = visitor
        self._poll.register(visitor.connection, select.EPOLLIN)

    def _give_up(self) -> list[tuple[int, int]]:
        raise TimeoutError(f"no byte came for {PATIENCE} s")
