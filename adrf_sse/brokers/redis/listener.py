"""One connection to Redis that hears what is published, and is made anew whenever it breaks."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from adrf_sse.brokers.base import Inbox
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.brokers.outages import Outage, pause
from adrf_sse.exceptions import BrokerUnavailable

AT_ONCE = 1000
"""Channels in one command."""


class Wire(Protocol):
    """A connection in pub/sub mode. Every method raises ``BrokerUnavailable``."""

    async def send(self, *command: str) -> None:
        """Send a command."""

    async def receive(self, timeout: float | None) -> Any:
        """Return a reply, or ``None`` where none comes in time."""

    async def aclose(self) -> None:
        """Close the connection."""


class RedisLink:
    """Subscribe one event loop to channels, over one connection, however many subscribers they have."""

    def __init__(
        self, connect: Callable[[], Awaitable[Wire]], inbox: Inbox, *, prefix: str, silence: float | None
    ) -> None:
        self._connect = connect
        self._inbox = inbox
        self._prefix = prefix
        # Seconds, after which Redis is asked whether it is there, and after as many more is not.
        self._silence = silence
        self._wanted: set[str] = set()
        # For each SUBSCRIBE that Redis has yet to confirm, who waits for it, in the order they were sent.
        self._unconfirmed: defaultdict[str, deque[list[asyncio.Future[None]]]] = defaultdict(deque)
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage("hearing from Redis")
        self._heard = False  # Redis has confirmed a subscription, since the last attempt
        self._missing: set[str] = set()  # after a reconnection, channels that are not subscribed to again yet

    async def add(self, channels: Collection[str]) -> None:
        """Hear of channels; returns when Redis has confirmed it, however long it is away."""
        loop = asyncio.get_running_loop()
        new = [channel for channel in channels if channel not in self._wanted]
        self._wanted.update(new)
        confirmed = []
        for channel in channels:
            if channel in new:
                self._unconfirmed[channel].append([])
            if waiting := self._unconfirmed.get(channel):
                future = loop.create_future()
                waiting[-1].append(future)
                confirmed.append(future)
        if self._task is None:
            self._task = loop.create_task(self._run(), name="adrf_sse redis")
        elif new:
            await self._send("SUBSCRIBE", new)
        for future in confirmed:
            await future

    async def remove(self, channels: Collection[str]) -> None:
        """Hear no more of channels."""
        self._wanted.difference_update(channels)
        for channel in channels:
            self._miss_no_more(channel)
        await self._send("UNSUBSCRIBE", list(channels))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _send(self, command: str, channels: list[str]) -> None:
        if self._wire is None:
            return  # all that is wanted is sent with the next connection
        try:
            for start in range(0, len(channels), AT_ONCE):
                names = [self._prefix + channel for channel in channels[start : start + AT_ONCE]]
                await self._wire.send(command, *names)
        except BrokerUnavailable:
            pass  # whoever receives learns of it too

    async def _run(self) -> None:
        first, attempts = True, 0
        while True:
            try:
                await self._listen(first)
            except Exception as exc:  # whatever it is, streams stay open, and it is tried again
                self._outage.failed(exc)
            attempts = 1 if self._heard else attempts + 1
            first = self._heard = False
            await pause(attempts)

    async def _listen(self, first: bool) -> None:
        wire = await self._connect()
        try:
            self._start_over()
            self._missing = set() if first else set(self._wanted)
            self._wire = wire
            await self._send("SUBSCRIBE", list(self._wanted))
            if not first and not self._wanted:
                self._outage.over()
            await self._receive(wire)
        finally:
            self._wire = None
            await wire.aclose()

    def _start_over(self) -> None:
        """Expect one confirmation for each channel, and have it tell all who wait for the channel."""
        for channel in list(self._unconfirmed):
            waiting = [future for futures in self._unconfirmed.pop(channel) for future in futures]
            if channel in self._wanted:
                self._unconfirmed[channel].append(waiting)
        for channel in self._wanted:
            if channel not in self._unconfirmed:
                self._unconfirmed[channel].append([])

    async def _receive(self, wire: Wire) -> None:
        asked = False
        while True:
            reply = await wire.receive(self._silence)
            if reply is not None:
                asked = False
                self._take(reply)
            elif asked:
                raise BrokerUnavailable(f"Redis must answer in {self._silence} s, got silence. Check whether it hangs.")
            else:
                asked = True
                await wire.send("PING")

    def _take(self, reply: list[Any]) -> None:
        kind = reply[0]
        if kind == b"message":
            if not self._missing:  # else what is missing comes first, from history, and this with it
                self._receive_message(reply[1].decode().removeprefix(self._prefix), reply[2])
        elif kind == b"subscribe":
            self._confirm(reply[1].decode().removeprefix(self._prefix))

    def _receive_message(self, channel: str, message: bytes) -> None:
        number, mark, body = message.partition(b":")
        if mark and number.isdigit():  # anybody may publish to Redis
            self._inbox.receive(ChannelEvent(channel, int(number), body))

    def _confirm(self, channel: str) -> None:
        self._heard = True
        self._outage.over()
        waiting = self._unconfirmed.get(channel)
        if not waiting:
            return
        for future in waiting.popleft():
            if not future.done():
                future.set_result(None)
        if not waiting:
            del self._unconfirmed[channel]
        self._miss_no_more(channel)

    def _miss_no_more(self, channel: str) -> None:
        if channel in self._missing:
            self._missing.discard(channel)
            if not self._missing:
                self._inbox.gap()
