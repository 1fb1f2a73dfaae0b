"""Runs as brokers keep them: their states, and what each broker does with them atomically."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from adrf_sse.logs import log

Status = Literal["queued", "running", "completed", "failed", "stopped", "lost"]
"""``queued`` until somebody produces the run, ``running`` until it ends, and then how it has ended."""

_LOST = "The run %(run)s is lost: nothing has begun to produce it, or what produced it has not renewed its lease."

ACTIVE: frozenset[str] = frozenset({"queued", "running"})
"""The statuses of runs that have not ended."""

CHANNEL_PREFIX = "adrf-sse.run:"
"""How the names of the channels of runs begin."""


def run_channel(run_id: str) -> str:
    """Return the name of a run's channel."""
    return CHANNEL_PREFIX + run_id


@dataclass(frozen=True, slots=True)
class Run:
    """The state of a run at one time."""

    id: str
    """What names the run in URLs."""
    status: Status
    """Whether it runs, or how it has ended."""
    owner: str | None = None
    """The primary key of the user who has started it, as text; ``None`` if that was nobody."""
    started: float | None = None
    """When somebody began to produce it, in seconds since 1970."""
    ended: float | None = None
    """When it ended, in seconds since 1970."""
    events: int = 0
    """Its events so far, without those that report its end."""
    last_id: int = 0
    """The ID of its last event; 0 if it has none."""
    lease: float = 0.0
    """Seconds until it is lost, unless its producer renews the lease, or begins."""
    has_event: bool = False
    """Whether it has the event that the reader has asked for."""

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ACTIVE

    @property
    def channel(self) -> str:
        """The name of its channel."""
        return run_channel(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that shall be created."""

    id: str
    """Its ID."""
    owner: str | None
    """The primary key of the user who starts it, as text."""
    starter: str
    """Names whatever starts it, and may discard it."""
    queued: bool
    """Whether it waits for a producer. Otherwise, its starter produces it."""
    lease: float
    """Seconds until it is lost, unless its producer renews the lease, or begins."""
    endings: Mapping[str, Sequence[bytes]]
    """The last events of the run for each status in which it may end, as they are published: errors, and its end."""
    key: str | None = None
    """Names the request that starts it: a repeated request finds the same run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Events that a producer adds to its run, and the end of the run."""

    id: str
    """The run's ID."""
    producer: str
    """The producer. If the run has ended, or has another producer, nothing is written."""
    lease: float
    """Seconds until the run is lost, unless the lease is renewed."""
    after: int = 0
    """Events that the producer has written before. If the run has more, these events are not written again."""
    bodies: Sequence[bytes] = ()
    """The events, as they are published."""
    status: Status = "running"
    """How the run ends, or ``running``."""
    errors: Sequence[bytes] | None = None
    """What reports the error that ends the run, in place of what was prepared when the run was created."""


Created = Literal["new", "active", "repeated", "foreign"]
"""Whether a run was created. If not: another one with its ID is active; the request was sent before; or another one
with its ID has another owner."""


class RunStore(ABC):
    """Keep the runs of a broker, each with all its events in a channel of its own.

    Each method is atomic, also among processes. A run whose lease has passed is ``lost``: whatever notices that first
    publishes its ending. A run is kept for ``RUN_TTL`` seconds after its end. All methods raise ``BrokerUnavailable``.
    """

    @abstractmethod
    async def create(self, run: NewRun) -> tuple[Run, Created]:
        """Create a run, in place of one with its ID that has ended. Returns the run that now exists."""

    @abstractmethod
    async def claim(self, run_id: str, producer: str, lease: float) -> tuple[Run, bool] | None:
        """Begin to produce a queued run. Returns the run, and whether it was queued."""

    @abstractmethod
    async def write(self, write: Write) -> Run | None:
        """Add events, renew the lease, and perhaps end the run. Returns the run as it is then.

        If the run had ended or has another producer, nothing is written, and the status is how it has ended, or
        ``lost``. If the broker has lost events that were written before, the run is lost. Returns ``None`` if the run
        is unknown.
        """

    @abstractmethod
    async def end(self, run_id: str, status: Status) -> tuple[Run, bool] | None:
        """End an active run with its ending for a status. Returns the run, and whether it was active."""

    @abstractmethod
    async def read(self, run_id: str, event_id: int | None = None) -> Run | None:
        """Return a run, and whether it has an event with this ID; or ``None``."""

    @abstractmethod
    async def discard(self, run_id: str, starter: str) -> None:
        """End a run as ``failed`` and remove it, because it could not begin. Others' runs with its ID stay."""

    @abstractmethod
    async def all(self, limit: int) -> list[Run]:
        """Return the latest runs, at most ``limit``, the one created last first."""


def ending_of(endings: Mapping[str, Sequence[bytes]], status: str, errors: Sequence[bytes] | None) -> Sequence[bytes]:
    """Return the last events of a run."""
    prepared = endings[status]
    return prepared if errors is None else [*errors, prepared[-1]]


def log_loss(run_id: str) -> None:
    """Log that a run is lost. Of all processes, the one that notices it first does so."""
    log(logging.ERROR, _LOST, None, run=run_id, status="lost")
