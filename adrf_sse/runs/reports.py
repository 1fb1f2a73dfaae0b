"""Reports of runs, to the log and to Django's signals."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from adrf_sse.brokers.runs import Run, Status
from adrf_sse.logs import log
from adrf_sse.signals import run_ended, run_started

if TYPE_CHECKING:
    from adrf_sse.runs.producer import Producer

_STARTED = "The run %(run)s has started."
_ENDED = "The run %(run)s has ended, %(status)s, after %(duration).3f s, %(events)d events."
_UNKNOWN = "The run %(run)s, which this process follows, is lost: the broker does not know it any longer."
_SKIPPED = "Nothing is produced for the run %(run)s, because it has already ended: %(status)s."

_LEVELS: dict[Status, int] = {"failed": logging.WARNING, "lost": logging.ERROR}


def report_start(producer: "Producer") -> None:
    """Log that this process begins to produce a run, and send ``run_started``."""
    log(logging.DEBUG, _STARTED, producer.request, run=producer.run_id)
    if run_started.has_listeners():
        run_started.send_robust(type(producer), run_id=producer.run_id)


def report_end(producer: "Producer", status: Status) -> None:
    """Log that a run has ended in this process, and send ``run_ended``."""
    duration = monotonic() - producer.begun
    values = {"run": producer.run_id, "status": status, "duration": duration, "events": producer.events}
    log(_LEVELS.get(status, logging.INFO), _ENDED, producer.request, **values)
    if run_ended.has_listeners():
        run_ended.send_robust(type(producer), run_id=producer.run_id, status=status, duration=duration)


def report_unknown(run_id: str) -> None:
    """Log that the broker has lost a run that this process follows."""
    log(logging.ERROR, _UNKNOWN, None, run=run_id, status="lost")


def report_skipped(run: Run) -> None:
    """Log that nothing is produced for a run that has ended before."""
    log(logging.INFO, _SKIPPED, None, run=run.id, status=run.status)
