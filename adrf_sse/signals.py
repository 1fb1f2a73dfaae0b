"""Django signals about streams, channels and runs."""

from typing import Literal

from django.dispatch import Signal

Reason = Literal["completed", "disconnected", "error", "shutdown", "expired", "timeout", "revoked"]
"""Why a stream ended. The documentation of signals explains each reason."""

stream_opened = Signal()
"""Sent once for each stream, when its headers are sent. Receivers get ``stream``, the ``EventStream``."""

stream_closed = Signal()
"""Sent once for each opened stream, when its source is closed. Receivers get ``stream``, ``reason``, ``duration`` in
seconds, and the number of ``events`` and ``bytes`` sent."""

# The signals about channels are sent from the event loop with send_robust(), so their receivers must be plain functions
# that don't block. Nothing is sent while a signal has no receivers.

event_received = Signal()
"""Sent for each event that a broker delivers to this process. Receivers get ``channel``, and ``lag``, the seconds since
the event was published."""

subscriber_dropped = Signal()
"""Sent for each subscriber that is disconnected because it fell behind. Receivers get the names of its ``channels``."""

# The signals about runs are sent in the same way, in the process that produces the run.

run_started = Signal()
"""Sent for each run that this process begins to produce. Receivers get ``run_id``."""

run_ended = Signal()
"""Sent for each run that this process has produced, when it has ended. Receivers get ``run_id``, ``status``, and
``duration`` in seconds."""
