"""Channels: named feeds that anything can publish to, and streams subscribe to."""

from typing import Any

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import message_body
from adrf_sse.channels.hub import subscriber_counts
from adrf_sse.channels.names import channel_name, channel_names
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.event import ServerSentEvent
from adrf_sse.settings import sse_settings

__all__ = ["apublish", "publish", "subscribe", "subscriber_counts"]


def publish(channel: str, data: Any, *, event: str | None = None) -> int:
    """Publish an event from anywhere, and return its id.

    ``data`` is sent as text where it is a ``str``, else as JSON. Announce what a transaction saves with
    ``transaction.on_commit(lambda: publish(…))``. Raises ``TypeError`` or ``ValueError`` for a bad name or data that
    can't be sent, and ``BrokerUnavailable``.
    """
    name, body = _checked(channel, data, event)
    return get_broker().publish(name, body)


async def apublish(channel: str, data: Any, *, event: str | None = None) -> int:
    """Publish an event from asynchronous code, as ``publish()`` does."""
    name, body = _checked(channel, data, event)
    return await get_broker().apublish(name, body)


def subscribe(*channels: str, last_event_id: str | int | None = None) -> Subscription:
    """Subscribe to channels: ``async with subscribe("news") as events: async for event in events: …``

    With ``last_event_id`` (pass ``view.last_event_id``) come first the events after it, from history; where some are no
    longer kept, a ``reset`` event comes before the rest. Raises ``TypeError`` or ``ValueError`` for bad names.
    """
    return Subscription(channel_names(channels), last_event_id)


def _checked(channel: str, data: Any, event: str | None) -> tuple[str, bytes]:
    name = channel_name(channel)
    if isinstance(data, ServerSentEvent | bytes):
        raise TypeError(
            f"data must be text or JSON, and its event's name apart from it, got a {type(data).__name__}. "
            "Write publish(channel, data, event=name); the broker gives the id."
        )
    body = message_body(data, event)
    if len(body) > sse_settings.MAX_EVENT_SIZE:
        raise ValueError(
            f"an event must take at most {sse_settings.MAX_EVENT_SIZE} bytes, got {len(body)}. "
            "Publish where to fetch it instead, or raise ADRF_SSE['MAX_EVENT_SIZE']."
        )
    return name, body
