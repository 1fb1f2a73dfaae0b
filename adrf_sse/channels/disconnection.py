"""Disconnection: streams that end in every process when one process asks for it."""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import asdict, dataclass
from math import inf
from time import time
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent, message_body
from adrf_sse.channels.channel import CONTROL_CHANNEL, channel_name, user_key
from adrf_sse.channels.cursor import Cursor
from adrf_sse.channels.subscription import Subscription
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.logs import about, logger
from adrf_sse.runtime.loops import after_fork, hold_task
from adrf_sse.streams.lifecycle import Lifecycle
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.reconnection import are_many, reconnection_delay
from adrf_sse.streams.users import authenticated_user

CLOCK_MARGIN = 2.0
"""Seconds by which the clocks of the broker and of this process may differ."""

DISCONNECT_EVENT = "disconnect"


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
    get_broker().publish(CONTROL_CHANNEL, message_body(asdict(criteria), DISCONNECT_EVENT))


async def adisconnect(*, user: Any = None, channel: str | None = None, view: str | None = None) -> None:
    """End streams from asynchronous code, as ``disconnect()`` does."""
    criteria = _criteria(user, channel, view)
    _end_streams(criteria)
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
    return Criteria(key, None if channel is None else channel_name(channel), view)


def _end_streams(criteria: Criteria, loop: asyncio.AbstractEventLoop | None = None, opened_before: float = inf) -> None:
    """End the streams of a loop, or of all loops, that match and had not opened later. May be called in any thread."""
    matching = [
        (each, each.loop)
        for each in open_streams
        if each.loop is not None
        and (loop is None or each.loop is loop)
        and (each.opened_at or 0) <= opened_before
        and criteria.match(each)
    ]
    for stream, its_loop in matching:
        retry = reconnection_delay(len(matching)) if are_many(len(matching)) else None
        with suppress(RuntimeError):  # its loop is closed
            its_loop.call_soon_threadsafe(stream.revoke, retry)


class _ControlCursor(Cursor):
    """Tell events that come from history from those that arrive when they are published."""

    __slots__ = ("replays",)

    def next_event(self) -> ChannelEvent | None:
        self.replays = self.has_early
        return super().next_event()


class _ControlSubscription(Subscription):
    _cursor_class = _ControlCursor

    @property
    def replays(self) -> bool:
        """Whether the last event came from history."""
        return isinstance(self._cursor, _ControlCursor) and self._cursor.replays


class Control:
    """End the streams of each event loop that other processes ask to end.

    While a loop has streams, one task and one subscription follow the control channel for all of them. If the broker
    delivers in this process only, there is nothing to follow.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def reset(self) -> None:
        """Forget the tasks. A forked process must do so, because it has none of its parent's loops."""
        self._tasks = {}

    def first_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow the control channel from now on."""
        self._tasks = {each: task for each, task in self._tasks.items() if not each.is_closed()}
        try:
            if get_broker().process_local:
                return
        except ImproperlyConfigured:
            logger.exception("Streams can't be ended by other processes.", extra=about(None))
            return
        # In a context of its own: that of the request would keep the request alive.
        self._tasks[loop] = loop.create_task(_follow(loop), name="adrf_sse control", context=Context())

    def last_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the control channel."""
        task = self._tasks.pop(loop, None)
        if task is not None:
            hold_task(task)
            task.cancel()


async def _follow(loop: asyncio.AbstractEventLoop) -> None:
    # The subscription takes a moment, or as long as the broker is unavailable. What is asked meanwhile is in history.
    last = int((time() - CLOCK_MARGIN) * 1_000_000)
    try:
        while True:
            with suppress(SubscriberLagged):
                subscription = _ControlSubscription(frozenset([CONTROL_CHANNEL]), last)
                async with subscription as events:
                    async for event in events:
                        last = event.number
                        _obey(event, loop, replayed=subscription.replays)
    except Exception:
        logger.exception("Streams can no longer be ended by other processes.", extra=about(None))


def _obey(event: ChannelEvent, loop: asyncio.AbstractEventLoop, *, replayed: bool) -> None:
    """End the streams that an event names. One from history does not concern streams that have opened since."""
    opened_before = event.number / 1_000_000 + CLOCK_MARGIN if replayed else inf
    if event.event != DISCONNECT_EVENT:
        return  # a reset
    try:
        criteria = _criteria(**event.data)
    except (TypeError, ValueError) as exc:  # any client of the broker may publish
        logger.warning(
            "Skipped an event in %s that disconnect() did not publish: %s", CONTROL_CHANNEL, exc, extra=about(None)
        )
    else:
        _end_streams(criteria, loop, opened_before)


control = Control()
after_fork(control.reset)
