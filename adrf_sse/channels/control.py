"""The control channel: through it, one process asks all others to end streams, or to stop a run."""

import asyncio
from collections import Counter
from contextlib import suppress
from contextvars import Context
from time import time
from typing import Protocol

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.brokers.outages import wait_before_attempt
from adrf_sse.channels.channel import CONTROL_CHANNEL
from adrf_sse.channels.cursor import Cursor
from adrf_sse.channels.subscription import Subscription
from adrf_sse.exceptions import BrokerUnavailable, SubscriberLagged
from adrf_sse.logs import about, logger
from adrf_sse.runtime.loops import after_fork, hold_task

CLOCK_MARGIN = 2.0
"""Seconds by which the clocks of the broker and of this process may differ."""


class Obey(Protocol):
    """What an event loop does when a process asks for it."""

    def __call__(self, event: ChannelEvent, loop: asyncio.AbstractEventLoop, *, replayed: bool) -> None:
        """Obey an event, which comes from history if it is ``replayed``. Raises an error if its data is not valid."""


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
    """Follow the control channel in each event loop that has streams or runs, and obey its events.

    One task and one subscription do so for all of them. If the broker delivers in this process only, there is nothing
    to follow.
    """

    def __init__(self) -> None:
        self._obey: dict[str, Obey] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the tasks. A forked process must do so, because it has none of its parent's loops."""
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._users: Counter[asyncio.AbstractEventLoop] = Counter()

    def on(self, name: str, obey: Obey) -> None:
        """Obey the events with a name."""
        self._obey[name] = obey

    def first_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow the control channel from now on. Called for the first stream, and for the first run, of a loop."""
        self._tasks = {each: task for each, task in self._tasks.items() if not each.is_closed()}
        self._users = Counter({each: number for each, number in self._users.items() if not each.is_closed()})
        self._users[loop] += 1
        try:
            if loop in self._tasks or get_broker().process_local:
                return
        except ImproperlyConfigured:
            logger.exception("Streams can't be ended by other processes.", extra=about(None))
            return
        # In a context of its own: that of the request would keep the request alive.
        self._tasks[loop] = loop.create_task(self._follow(loop), name="adrf_sse control", context=Context())

    def last_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the control channel if the loop has neither streams nor runs."""
        self._users[loop] -= 1
        if self._users[loop] > 0:
            return
        del self._users[loop]
        task = self._tasks.pop(loop, None)
        if task is not None:
            hold_task(task)
            task.cancel()

    async def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        # The subscription takes a moment, or as long as the broker is unavailable. What is asked meanwhile is in
        # history.
        now = int(time() * 1_000_000)
        try:
            last = min(now, await self._position()) - int(CLOCK_MARGIN * 1_000_000)
            while True:
                with suppress(SubscriberLagged):
                    subscription = _ControlSubscription(frozenset([CONTROL_CHANNEL]), last)
                    async with subscription as events:
                        async for event in events:
                            last = event.number
                            self._handle(event, loop, replayed=subscription.replays)
        except Exception:
            logger.exception("Streams can no longer be ended by other processes.", extra=about(None))

    async def _position(self) -> int:
        """Return the last ID that the broker has assigned. It limits the error of a clock that is far ahead."""
        attempts = 0
        while True:
            try:
                return (await get_broker().read([CONTROL_CHANNEL], None, 1)).position
            except BrokerUnavailable:
                attempts += 1
                await wait_before_attempt(attempts)

    def _handle(self, event: ChannelEvent, loop: asyncio.AbstractEventLoop, *, replayed: bool) -> None:
        obey = self._obey.get(event.event or "")
        if obey is None:
            return  # a reset
        try:
            obey(event, loop, replayed=replayed)
        except (TypeError, ValueError) as exc:  # any client of the broker may publish
            message = "Skipped an event in %s that this package did not publish: %s"
            logger.warning(message, CONTROL_CHANNEL, exc, extra=about(None))


control = Control()
after_fork(control.reset)
