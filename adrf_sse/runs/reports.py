"""Reports of runs, to the log and to Django's signals."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from adrf_sse.brokers.runs import Status
from adrf_sse.logs import log
from adrf_sse.signals import run_ended

if TYPE_CHECKING:
    from adrf_sse.runs.producer import Producer

_ENDED = "The run %(run)s has ended, %(status)s, after %(duration).3f s, %(events)d events."

_LEVELS: dict[Status, int] = {"failed": logging.WARNING, "lost": logging.ERROR}


def report_end(producer: "Producer", status: Status) -> None:
    """Log that a run has ended in this process, and send ``run_ended``."""
    duration = monotonic() - producer.begun
    values = {"run": producer.run_id, "status": status, "duration": duration, "events": producer.events}
    log(_LEVELS.get(status, logging.INFO), _ENDED, producer.request, **values)
    if run_ended.has_listeners():
        run_ended.send_robust(type(producer), status=status, duration=duration)
