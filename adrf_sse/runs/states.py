"""The state of a run, as clients and code read it."""

from datetime import UTC, datetime
from typing import TypedDict

from adrf_sse.brokers.runs import Run, Status


class RunState(TypedDict):
    """The state of a run."""

    id: str
    """Its ID."""
    status: Status
    """``queued``, ``running``, ``completed``, ``failed``, ``stopped`` or ``lost``."""
    started: datetime | None
    """When its source began; ``None`` while it is queued."""
    ended: datetime | None
    """When it ended; ``None`` while it is active."""
    events: int
    """The number of events so far, without those that report its end."""


def state_of(run: Run) -> RunState:
    """Return the state of a run."""
    return {
        "id": run.id,
        "status": run.status,
        "started": _time(run.started),
        "ended": _time(run.ended),
        "events": run.events,
    }


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
