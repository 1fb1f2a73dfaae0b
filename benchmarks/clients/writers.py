"""Processes that write to PostgreSQL and publish, each through Django's connection of its own."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.contenders import OVER_POSTGRES, OVER_REDIS, PLAIN
from benchmarks.processes import child

CHANNEL = "bench"

EVENT = {"series": 1, "price": 101.25, "n": 1, "at": 1_000_000_000}
"""The data of each event."""

WARM_UP = 0.3
"""Seconds of writing that do not count."""

Action = Callable[[int], object]
"""Writes a number of events in one go."""


def _django(environment: dict[str, str]) -> None:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings", **environment}
    import django

    django.setup()


def _announcement(name: str) -> Action:
    """Return what publishes events over a contender's broker, or only inserts their rows."""
    from django.db import connection, transaction

    from adrf_sse.brokers.messages import message_body
    from adrf_sse.channels import publish

    row = [CHANNEL, message_body(EVENT, None)]
    announce = partial(publish, CHANNEL, EVENT)

    def insert(events: int) -> None:
        with connection.cursor() as cursor:
            for _ in range(events):
                cursor.execute("INSERT INTO rows_plain (channel, body) VALUES (%s, %s)", row)

    def publish_all(events: int) -> None:
        for _ in range(events):
            announce()

    def publish_on_commit(events: int) -> None:
        for _ in range(events):
            transaction.on_commit(announce)

    return {PLAIN: insert, OVER_POSTGRES: publish_all, OVER_REDIS: publish_on_commit}[name]


def _actions(name: str) -> dict[str, Action]:
    from django.db import transaction

    from benchmarks.apps.rows.models import Order

    announce = _announcement(name)

    def together(events: int) -> None:
        with transaction.atomic():
            announce(events)

    def save(events: int) -> None:
        with transaction.atomic():
            Order(customer="Somebody", status="paid", total="101.25").save()
            if name != PLAIN:
                announce(events)

    return {"alone": announce, "together": together, "save": save}


def _write(pipe: Connection, name: str, environment: dict[str, str]) -> None:
    """Repeat an action for some seconds whenever the pipe names one, and send how often, and how long it took."""
    _django(environment)
    actions = _actions(name)
    pipe.send(None)
    with suppress(EOFError):
        while True:
            action, events, seconds = pipe.recv()
            _repeat(partial(actions[action], events), WARM_UP)
            pipe.send(None)
            pipe.recv()
            pipe.send(_repeat(partial(actions[action], events), seconds))


def _repeat(action: Callable[[], object], seconds: float) -> tuple[int, float, float]:
    """Return how often an action was repeated, and when it began and ended."""
    began = now = time.monotonic()
    times = 0
    while now - began < seconds:
        action()
        times, now = times + 1, time.monotonic()
    return times, began, now


class Writers:
    """Hold the pipes to the processes of all writers."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes
        self._answers(pipes)

    def rate(self, action: str, seconds: float, writers: int = 1, events: int = 1) -> float:
        """Return how often in a second some writers together complete an action, which writes a number of events."""
        pipes = self._pipes[:writers]
        for pipe in pipes:
            pipe.send((action, events, seconds))
        self._answers(pipes)
        for pipe in pipes:
            pipe.send(None)
        times, began, ended = zip(*self._answers(pipes), strict=True)
        return float(sum(times) / (max(ended) - min(began)))

    def _answers(self, pipes: list[Connection]) -> list[Any]:
        return [pipe.recv() for pipe in pipes]


@contextmanager
def writing(name: str, environment: dict[str, str], number: int) -> Iterator[Writers]:
    """Start the writers of a contender."""
    with ExitStack() as stack:
        yield Writers([stack.enter_context(child(_write, name, environment)) for _ in range(number)])
