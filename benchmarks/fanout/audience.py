"""The subscribers' end: processes that hold many connections, note when bytes come, and read them afterwards."""

import gc
import multiprocessing
import re
import select
import signal
import socket
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection

from benchmarks.limits import LIFETIME, raise_open_files
from benchmarks.measures import OPENERS
from benchmarks.streams import PATIENCE, PER_ADDRESS, request

PROCESSES = 2
"""Processes that share the subscribers: what is left of four cores by a server and its broker."""

SILENCE = 3.0
"""Seconds without a byte after which what has not come is lost."""

MARK = b"}"
"""Occurs once in each event, and nowhere else in a response."""

EVENT = re.compile(rb'"series": ?(\d+), ?"price": ?101.25, ?"n": ?(\d+), ?"at": ?(\d+)\}')


@dataclass(slots=True)
class Heard:
    """Hold what came of a series of events."""

    delays: array  # type: ignore[type-arg]
    """Nanoseconds from publishing to arrival of each delivery."""
    deaf: int
    """Subscribers that got none."""
    lost: int
    disordered: int
    """Deliveries that were repeated or came out of order."""
    first: int
    """When the first event was published, in nanoseconds."""
    last: int
    """When the last one came."""
    busy: float
    """Share of the time in which a process had something to do, the busiest one's."""

    def add(self, other: "Heard") -> None:
        self.delays += other.delays
        self.deaf += other.deaf
        self.lost += other.lost
        self.disordered += other.disordered
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.busy = max(self.busy, other.busy)


class Seat:
    """One subscriber."""

    __slots__ = ("arrivals", "chunks", "connection", "missing")

    def __init__(self, port: int, number: int) -> None:
        local = (f"127.0.0.{1 + number // PER_ADDRESS}", 0) if number >= PER_ADDRESS else None
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=local)
        self.connection.sendall(request("/subscribe").replace(b"*/*", b"text/event-stream"))
        self.connection.setblocking(False)
        self.expect(0)

    def expect(self, events: int) -> None:
        self.missing = events
        self.chunks: list[bytes] = []
        self.arrivals: list[int] = []

    def series(self, series: int) -> Iterator[tuple[int, int, int]]:
        """Return number, time of publishing and time of arrival of a series' events."""
        ends = list(accumulate(map(len, self.chunks)))
        for found in EVENT.finditer(b"".join(self.chunks)):
            of, number, published = map(int, found.groups())
            if of == series:
                yield number, published, self.arrivals[bisect_left(ends, found.end())]


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(PATIENCE * 1000))


class Row:
    """The subscribers of one process."""

    def __init__(self, port: int, numbers: range) -> None:
        self._poll = select.epoll()
        self._seats: dict[int, Seat] = {}
        for start in range(0, len(numbers), OPENERS):
            self._open([Seat(port, number) for number in numbers[start : start + OPENERS]])

    def _open(self, seats: list[Seat]) -> None:
        """Wait until each has been answered: more at once than a server accepts would be dropped."""
        for seat in seats:
            if not _readable(seat.connection):
                raise TimeoutError("the server did not answer")
            self._seats[seat.connection.fileno()] = seat
            self._poll.register(seat.connection, select.EPOLLIN)

    def expect(self, events: int) -> None:
        """Forget what came, and begin anew."""
        while any(self._seats[fd].connection.recv(1 << 18) for fd, _ in self._poll.poll(0)):
            pass
        for seat in self._seats.values():
            seat.expect(events)

    def listen(self, patience: float) -> float:
        """Take what comes until all is there, or nothing comes for some time; return the share of busy time."""
        seats, poll, clock = self._seats, self._poll.poll, time.monotonic_ns
        short = len(seats)
        began = idle = 0.0
        while short:
            asked = time.perf_counter()
            ready = poll(SILENCE if began else patience)
            if not ready:
                break
            if began:
                idle += time.perf_counter() - asked
            else:
                began = time.perf_counter()
            for fd, _ in ready:
                seat = seats[fd]
                data = seat.connection.recv(1 << 18)
                seat.arrivals.append(clock())
                seat.chunks.append(data)
                if not data:
                    raise ConnectionError("the server ended a stream")
                if seat.missing > 0:
                    seat.missing -= data.count(MARK)
                    short -= seat.missing <= 0
        return 1 - idle / (time.perf_counter() - began) if began and not short else 0.0

    def heard(self, events: int, series: int, busy: float) -> Heard:
        """Read what came."""
        heard = Heard(array("q"), 0, 0, 0, 1 << 62, 0, busy)
        for seat in self._seats.values():
            last = -1
            came = 0
            for number, published, arrived in seat.series(series):
                heard.delays.append(arrived - published)
                heard.disordered += number <= last
                heard.first, heard.last = min(heard.first, published), max(heard.last, arrived)
                came, last = came + (number > last), number
            heard.lost += events - came
            heard.deaf += not came
        return heard


def _sit(pipe: Connection, port: int, numbers: range) -> None:
    """Run a process of the audience: open the streams, then hear a series whenever the pipe names one."""
    signal.alarm(LIFETIME)
    raise_open_files()
    row = Row(port, numbers)
    pipe.send(None)
    gc.disable()
    while True:
        try:
            events, series, patience = pipe.recv()
        except EOFError:
            return
        row.expect(events)
        pipe.send(None)
        busy = row.listen(patience)
        pipe.send(row.heard(events, series, busy))


class Audience:
    """All subscribers."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def expect(self, events: int, series: int, patience: float = PATIENCE) -> None:
        """Get ready for a series; the first of it must come in ``patience`` seconds."""
        for pipe in self._pipes:
            pipe.send((events, series, patience))
        self.wait()

    def wait(self) -> None:
        for pipe in self._pipes:
            if not pipe.poll(LIFETIME):
                raise TimeoutError("the clients did not answer")
            pipe.recv()

    def heard(self) -> Heard:
        """Return what came, when it has."""
        first, *others = [pipe.recv() for pipe in self._pipes]
        for other in others:
            first.add(other)
        heard: Heard = first
        return heard


@contextmanager
def audience(port: int, size: int) -> Iterator[Audience]:
    """Open the streams of all subscribers, spread over some processes."""
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    try:
        for index in range(min(PROCESSES, size)):
            ours, theirs = context.Pipe()
            numbers = range(index, size, PROCESSES)
            process = context.Process(target=_sit, args=(theirs, port, numbers), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        everyone = Audience(pipes)
        everyone.wait()
        yield everyone
    finally:
        for process in processes:
            process.kill()
            process.join()
