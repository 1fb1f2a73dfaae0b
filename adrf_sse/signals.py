"""Django signals about streams. Receivers get ``stream``, the ``EventStream``, and what is named here."""

from typing import Literal

from django.dispatch import Signal

Reason = Literal["completed", "disconnected", "error", "shutdown", "expired", "timeout", "revoked"]
"""Why a stream ended: its source came to its end or failed, its client left or took nothing, or the server ended it."""

stream_opened = Signal()
"""Sent once for each stream, when its headers go out."""

stream_closed = Signal()
"""Sent once for each stream that was opened, when its source is closed: ``reason``, ``duration`` in seconds, ``events``
and ``bytes`` sent."""

# Of channels. Sent from the event loop with send_robust(), and not at all where nothing listens: receivers are plain
# functions that do not block.

event_received = Signal()
"""Sent for each event that a broker brings into this process: ``channel``, and ``lag``, the seconds since it was
published."""

subscriber_dropped = Signal()
"""Sent for each subscriber that is ended for falling behind: ``channels``, the names of those it had."""
