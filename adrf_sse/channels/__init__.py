"""Channels: named feeds that any code can publish to, and that streams subscribe to."""

from typing import Any

from adrf_sse.channels.announcements import announce
from adrf_sse.channels.channel import acurrent_event_id, apublish, channel_names, current_event_id, publish, user_key
from adrf_sse.channels.disconnection import adisconnect, disconnect
from adrf_sse.channels.hub import subscriber_counts
from adrf_sse.channels.subscription import Subscription

__all__ = [
    "Subscription",
    "acurrent_event_id",
    "adisconnect",
    "announce",
    "apublish",
    "current_event_id",
    "disconnect",
    "publish",
    "subscribe",
    "subscriber_counts",
]


def subscribe(*channels: str, last_event_id: str | int | None = None, user: Any = None) -> Subscription:
    """Subscribe to channels: ``async with subscribe("news") as events: async for event in events: …``

    With ``last_event_id`` (pass ``view.last_event_id``), the events after it come first, from history. If some of them
    are no longer kept, a ``reset`` event precedes the rest. Events that skip the ``user`` are left out. Raises
    ``TypeError`` or ``ValueError`` for bad names.
    """
    return Subscription(channel_names(channels), last_event_id, user=user_key(user))
