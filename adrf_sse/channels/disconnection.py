"""Disconnection: streams that end in every process when one process asks for it."""

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent, message_body
from adrf_sse.brokers.outages import outage_of_calls
from adrf_sse.channels.channel import CONTROL_CHANNEL, channel_name, user_key
from adrf_sse.channels.control import CLOCK_MARGIN, control
from adrf_sse.streams.lifecycle import Lifecycle
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.reconnection import are_many, reconnection_delay
from adrf_sse.streams.users import authenticated_user

DISCONNECT_EVENT = "disconnect"

_ending = outage_of_calls("ending streams")


@dataclass(frozen=True, slots=True)
class Criteria:
    """What streams must have in common to be ended; ``None`` stands for any."""

    user: str | None = None
    channel: str | None = None
    view: str | None = None

    def match(self, stream: Lifecycle) -> bool:
        """Return whether a stream has everything that is asked for."""
        return (
            (self.view is None or stream.view_name == self.view)
            and (self.channel is None or stream.is_subscribed(self.channel))
            and (self.user is None or user_key(authenticated_user(stream.request)) == self.user)
        )


def disconnect(*, user: Any = None, channel: str | None = None, view: str | None = None) -> None:
    """End the streams that match all arguments, with the reason ``revoked``, in every process that shares the broker.

    ``user`` is an authenticated user, or a user's primary key: the one who opened the stream. ``channel`` is a channel
    that the stream is subscribed to, and ``view`` its ``view_name``. The clients may reconnect, so change permissions
    first. Raises ``TypeError`` or ``ValueError`` for bad arguments, or if there is none, and ``BrokerUnavailable`` if
    other processes could not be told; the streams of this process end even then.
    """
    criteria = _criteria(user, channel, view)
    _end_streams(criteria)
    with _ending:
        get_broker().publish(CONTROL_CHANNEL, message_body(asdict(criteria), DISCONNECT_EVENT))


async def adisconnect(*, user: Any = None, channel: str | None = None, view: str | None = None) -> None:
    """End streams from asynchronous code, as ``disconnect()`` does."""
    criteria = _criteria(user, channel, view)
    _end_streams(criteria)
    with _ending:
        await get_broker().apublish(CONTROL_CHANNEL, message_body(asdict(criteria), DISCONNECT_EVENT))


def _criteria(user: Any = None, channel: str | None = None, view: str | None = None) -> Criteria:
    if user is None and channel is None and view is None:
        raise TypeError("disconnect() must get a user, a channel or a view, got none. Say which streams to end.")
    key = user_key(user)
    if user is not None and key is None:
        raise ValueError(
            f"user must be an authenticated user, got {user!r}. Name anonymous streams by channel or view."
        )
    if view is not None and not isinstance(view, str):
        raise TypeError(f"view must be the name of a view, got {view!r}. Pass a str, as stream.view_name is.")
    return Criteria(key, None if channel is None else channel_name(channel, of_run=True), view)


def _end_streams(
    criteria: Criteria, loop: asyncio.AbstractEventLoop | None = None, started_before: float = inf
) -> None:
    """End the streams of a loop, or of all loops, that match and had not started later. May be called in any thread."""
    matching = [
        (each, each.loop)
        for each in open_streams
        if each.loop is not None
        and (loop is None or each.loop is loop)
        and (each.started_at or 0) <= started_before
        and criteria.match(each)
    ]
    for stream, its_loop in matching:
        retry = reconnection_delay(len(matching)) if are_many(len(matching)) else None
        with suppress(RuntimeError):  # its loop is closed
            its_loop.call_soon_threadsafe(stream.revoke, retry)


def _obey(event: ChannelEvent, loop: asyncio.AbstractEventLoop, *, replayed: bool) -> None:
    """End the streams that an event names. One from history does not concern streams that have started since."""
    started_before = event.number / 1_000_000 + CLOCK_MARGIN if replayed else inf
    _end_streams(_criteria(**event.data), loop, started_before)


control.on(DISCONNECT_EVENT, _obey)
