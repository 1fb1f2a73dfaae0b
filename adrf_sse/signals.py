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
