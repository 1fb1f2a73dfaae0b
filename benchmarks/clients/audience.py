"""The audience of a channel: processes that hold many connections, note when bytes come, and read them afterwards."""

import gc
import re
import select
import socket
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.clients.connections import OPENERS, local_address, request
from benchmarks.limits import PATIENCE
from benchmarks.processes import child

PROCESSES = 2
"""Processes that share the subscribers: on four cores, a server and its broker leave two."""

SILENCE = 3.0
"""Seconds without a byte after which missing events usually count as lost."""

READ_SIZE = 1 << 18

MARK = b"}"
"""Occurs once in each event, and nowhere else in a response."""

EVENT = re.compile(rb'"series": ?(\d+), ?"price": ?101.25, ?"n": ?(\d+), ?"at": ?(\d+)}')

Delivery = tuple[int, int, int]
"""Number of an event, when it was published, and when it arrived, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Hold what subscribers received of a series of events."""

    received: list[list[Delivery]]
    """Deliveries to each subscriber of the first user."""
    busy: float
    """Share of the time in which the busiest process had something to do."""


class Subscriber:
    """Hold one connection, and what came from it."""

    __slots__ = ("_arrivals", "_chunks", "_missing", "connection", "user")

    def __init__(self, port: int, number: int, user: int) -> None:
        self.user = user
        address = local_address(number)
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=address)
        self.connection.sendall(request("/subscribe", "text/event-stream", f"user={user}"))
        self.expect(0)

    def expect(self, events: int) -> None:
        """Forget what came before, and expect a number of events."""
        self._missing = events
        self._chunks: list[bytes] = []
        self._arrivals: list[int] = []

    def read(self) -> bool:
        """Keep what has come, and tell whether the last expected event has now arrived."""
        data = self.connection.recv(READ_SIZE)
        self._arrivals.append(time.monotonic_ns())
        self._chunks.append(data)
        if not data:
            raise ConnectionError("the server ended a stream")
        if self._missing <= 0:
            return False
        self._missing -= data.count(MARK)
        return self._missing <= 0

    def received(self, series: int) -> list[Delivery]:
        """Read what came of a series."""
        ends, deliveries = list(accumulate(map(len, self._chunks))), []
        for found in EVENT.finditer(b"".join(self._chunks)):
            of, number, published = map(int, found.groups())
            if of == series:
                deliveries.append((number, published, self._arrivals[bisect_left(ends, found.end())]))
        return deliveries


class Subscribers:
    """Hold the subscribers of one process. Each has the next user; events are for the first user, whose number is 1."""

    def __init__(self, port: int, numbers: range, users: int) -> None:
        self._poll = select.epoll()
        self._subscribers: dict[int, Subscriber] = {}
        for start in range(0, len(numbers), OPENERS):
            some = numbers[start : start + OPENERS]
            self._open([Subscriber(port, number, 1 + number % users) for number in some])
        self._first_users = [one for one in self._subscribers.values() if one.user == 1]

    def _open(self, subscribers: list[Subscriber]) -> None:
        """Wait until each is answered: a server drops connections if too many come at once."""
        for subscriber in subscribers:
            subscriber.connection.recv(1, socket.MSG_PEEK)
            subscriber.connection.setblocking(False)
            self._subscribers[subscriber.connection.fileno()] = subscriber
            self._poll.register(subscriber.connection, select.EPOLLIN)

    def expect(self, events: int) -> None:
        """Drop what came before, and expect a number of events for each subscriber of the first user."""
        while any(self._subscribers[fd].connection.recv(READ_SIZE) for fd, _ in self._poll.poll(0)):
            pass
        for subscriber in self._subscribers.values():
            subscriber.expect(events if subscriber.user == 1 else 0)

    def listen(self, patience: float, silence: float) -> float:
        """Read until all events are there or nothing comes for some time, and return the share of busy time."""
        if not self._first_users or not self._poll.poll(patience):
            return 0.0
        began, idle, waiting = time.perf_counter(), 0.0, len(self._first_users)
        while waiting:
            asked = time.perf_counter()
            ready = self._poll.poll(silence)
            idle += time.perf_counter() - asked
            if not ready:
                return 0.0
            for fd, _ in ready:
                waiting -= self._subscribers[fd].read()
        return 1 - idle / (time.perf_counter() - began)

    def received(self, series: int) -> list[list[Delivery]]:
        """Read what came of a series for each subscriber of the first user."""
        return [subscriber.received(series) for subscriber in self._first_users]


def _subscribe(pipe: Connection, port: int, numbers: range, users: int) -> None:
    """Open the streams of one process, then receive a series whenever the pipe names one."""
    subscribers = Subscribers(port, numbers, users)
    pipe.send(None)
    gc.disable()
    with suppress(EOFError):
        while True:
            events, series, patience, silence = pipe.recv()
            subscribers.expect(events)
            pipe.send(None)
            busy = subscribers.listen(patience, silence)
            pipe.send((subscribers.received(series), busy))


class Audience:
    """Hold the pipes to the processes of all subscribers."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes
        self._answers()

    def receive(
        self,
        publish: Callable[[], object],
        events: int,
        series: int,
        patience: float = PATIENCE,
        silence: float = SILENCE,
    ) -> Deliveries:
        """Have a series published, and return what came of it.

        Its first event has to come in ``patience`` seconds, and each of the others ``silence`` seconds after another.
        """
        for pipe in self._pipes:
            pipe.send((events, series, patience, silence))
        self._answers()
        publish()
        parts, busy = zip(*self._answers(), strict=True)
        return Deliveries([received for part in parts for received in part], max(busy))

    def _answers(self) -> list[Any]:
        return [pipe.recv() for pipe in self._pipes]


@contextmanager
def audience(port: int, size: int, users: int = 1) -> Iterator[Audience]:
    """Open the streams of all subscribers, spread over some processes and users."""
    shares = [range(index, size, PROCESSES) for index in range(min(PROCESSES, size))]
    with ExitStack() as stack:
        yield Audience([stack.enter_context(child(_subscribe, port, numbers, users)) for numbers in shares])
