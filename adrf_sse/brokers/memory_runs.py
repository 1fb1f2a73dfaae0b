"""The runs of a single process."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import TYPE_CHECKING

from adrf_sse.brokers.runs import Created, NewRun, Run, RunStore, Status, Write, ending_of, log_loss
from adrf_sse.settings import sse_settings

if TYPE_CHECKING:
    from adrf_sse.brokers.memory import MemoryBroker

RUN_BYTES = 1000
"""Bytes of memory that a run needs beside its events."""


@dataclass(slots=True)
class _Kept:
    """A run, and what belongs to it."""

    run: Run
    starter: str
    producer: str | None
    endings: Mapping[str, Sequence[bytes]]
    key: str | None
    base: int
    """The last ID that was assigned before the run was created."""
    deadline: float
    """When its lease ends, or when it is removed, by ``monotonic()``, which knows no change of the clock."""


class MemoryRuns(RunStore):
    """Keep runs in this process's memory.

    Active runs are always kept whole. If all runs need more memory than the broker may use, those that ended first are
    removed.
    """

    def __init__(self, broker: "MemoryBroker", max_bytes: int) -> None:
        self._broker = broker
        self._max_bytes = max_bytes
        self._kept: dict[str, _Kept] = {}
        self._by_key: dict[str, str] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends
        self._next_look = 0.0  # when all active runs are looked at, because nothing else may ever do so

    async def create(self, run: NewRun) -> tuple[Run, Created]:
        """Create a run, unless one with its key exists, or an active or foreign one with its ID."""
        await asyncio.sleep(0)  # wait as for any other broker
        with self._broker.publishing():
            self._remove_old()
            repeated = self._by_key.get(run.key or "")
            if repeated is not None:
                return self._look(self._kept[repeated]), "repeated"
            kept = self._kept.get(run.id)
            if kept is not None:
                found = self._look(kept)
                if found.owner != run.owner:
                    return found, "foreign"
                if found.is_active:
                    return found, "active"
                self._remove(run.id)
            producer = None if run.queued else run.starter
            new = Run(run.id, "queued" if run.queued else "running", run.owner, None if run.queued else time())
            deadline = monotonic() + run.lease
            base = self._broker.position()
            self._kept[run.id] = _Kept(new, run.starter, producer, run.endings, run.key, base, deadline)
            if run.key is not None:
                self._by_key[run.key] = run.id
            return self._shown(self._kept[run.id]), "new"

    async def claim(self, run_id: str, producer: str, lease: float) -> tuple[Run, bool] | None:
        """Begin to produce a queued run."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            kept = self._found(run_id)
            if kept is None:
                return None
            if self._look(kept).status != "queued":
                return self._shown(kept), False
            kept.run = replace(kept.run, status="running", started=time())
            kept.producer, kept.deadline = producer, monotonic() + lease
            return self._shown(kept), True

    async def write(self, write: Write) -> Run | None:
        """Add events, renew the lease, and perhaps end the run."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            kept = self._found(write.id)
            if kept is None:
                return None
            run = self._look(kept)
            if kept.producer != write.producer:
                return replace(run, status="lost") if run.is_active else run
            if not run.is_active:
                return run
            if run.events < write.after:
                self._end(kept, "lost")
                return self._shown(kept)
            if write.bodies and run.events == write.after:
                self._append(kept, write.bodies)
                kept.run = replace(kept.run, events=write.after + len(write.bodies))
            kept.deadline = monotonic() + write.lease
            if write.status != "running":
                self._end(kept, write.status, write.errors)
            return self._shown(kept)

    async def end(self, run_id: str, status: Status) -> tuple[Run, bool] | None:
        """End an active run with its ending for a status."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            kept = self._found(run_id)
            if kept is None:
                return None
            if not self._look(kept).is_active:
                return self._shown(kept), False
            self._end(kept, status)
            return self._shown(kept), True

    async def read(self, run_id: str, event_id: int | None = None) -> Run | None:
        """Return a run, and whether it has an event with this ID; or ``None``."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            kept = self._found(run_id)
            if kept is None:
                return None
            run = self._look(kept)
            has_event = event_id is not None and self._broker.has_event(run.channel, event_id)
            return replace(self._shown(kept), has_event=has_event)

    async def discard(self, run_id: str, starter: str) -> None:
        """End a run as ``failed`` and remove it, because it could not begin."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            kept = self._found(run_id)
            if kept is not None and kept.starter == starter:
                if kept.run.is_active:
                    self._end(kept, "failed")
                self._remove(run_id)

    async def all(self, limit: int) -> list[Run]:
        """Return the latest runs, at most ``limit``, the one created last first."""
        await asyncio.sleep(0)
        with self._broker.publishing():
            self._remove_old()
            latest = list(self._kept.values())[: -limit - 1 : -1]
            return [self._look(kept) for kept in latest]

    def _found(self, run_id: str) -> _Kept | None:
        self._remove_old()
        return self._kept.get(run_id)

    def _look(self, kept: _Kept) -> Run:
        """Return a run, which is lost if its lease has passed."""
        if kept.run.is_active and kept.deadline <= monotonic():
            self._end(kept, "lost")
            log_loss(kept.run.id)
        return self._shown(kept)

    def _shown(self, kept: _Kept) -> Run:
        return replace(kept.run, lease=max(0.0, kept.deadline - monotonic()) if kept.run.is_active else 0.0)

    def _end(self, kept: _Kept, status: Status, errors: Sequence[bytes] | None = None) -> None:
        self._append(kept, ending_of(kept.endings, status, errors))
        kept.run = replace(kept.run, status=status, ended=time())
        kept.deadline = monotonic() + sse_settings.RUN_TTL
        self._ended[kept.run.id] = None

    def _append(self, kept: _Kept, bodies: Sequence[bytes]) -> None:
        if bodies:
            kept.run = replace(kept.run, last_id=self._broker.append(kept.run.channel, bodies, kept.base))
        while self._memory() > self._max_bytes and self._ended:
            self._remove(next(iter(self._ended)))

    def _memory(self) -> int:
        return self._broker.bytes_of_runs + len(self._kept) * RUN_BYTES

    def _remove_old(self) -> None:
        if self._next_look <= monotonic():
            self._next_look = monotonic() + sse_settings.RUN_LEASE
            for kept in tuple(self._kept.values()):
                self._look(kept)
        while self._ended and self._kept[next(iter(self._ended))].deadline <= monotonic():
            self._remove(next(iter(self._ended)))

    def _remove(self, run_id: str) -> None:
        kept = self._kept.pop(run_id)
        self._ended.pop(run_id, None)
        if kept.key is not None:
            self._by_key.pop(kept.key, None)
        self._broker.remove_run_channel(kept.run.channel)
