"""One connection to Redis that receives what is published, and is replaced whenever it breaks."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from adrf_sse.brokers.base import Receiver
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.exceptions import BrokerUnavailable

if TYPE_CHECKING:
    from adrf_sse.brokers.redis.client import PubSubConnection
    from adrf_sse.brokers.redis.foreign import ForeignData

MAX_AHEAD = 3600.0
"""Seconds by which an ID may be ahead of this machine's clock. Events with later IDs are read from history."""

CHANNELS_PER_COMMAND = 1000
"""Channels in one command."""


class RedisListener:
    """Subscribe one event loop to channels, over one connection, however many subscribers they have.

    ``silence`` is the number of seconds after which Redis is sent a PING, and after as many more the connection counts
    as broken.
    """

    def __init__(
        self,
        connect: "Callable[[], Awaitable[PubSubConnection]]",
        receiver: Receiver,
        *,
        prefix: str,
        silence: float | None,
        foreign: "ForeignData",
    ) -> None:
        self._connect = connect
        self._receiver = receiver
        self._prefix = prefix
        self._silence = silence
        self._foreign = foreign
        self._channels: set[str] = set()
        self._unconfirmed: Counter[str] = Counter()  # SUBSCRIBE commands that Redis has not confirmed, by channel
        self._confirmations: dict[str, asyncio.Future[None]] = {}  # of channels with such commands
        self._connection: PubSubConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # commands are sent one after another
        self._outage = Outage("receiving events from Redis")
        self._last_number = 0  # ID of the last event that the connection has received
        self._confirmed = False  # whether Redis has confirmed a subscription since the last attempt
        self._not_restored: set[str] = set()  # channels that a new connection is not subscribed to yet

    async def subscribe(self, channels: Collection[str]) -> None:
        """Receive the events of channels. Returns when Redis has confirmed it, however long it is unavailable."""
        loop = asyncio.get_running_loop()
        new = [channel for channel in channels if channel not in self._channels]
        self._channels.update(new)
        self._expect(new)
        if self._task is None:
            self._task = loop.create_task(self._run(), name="adrf_sse redis")
        elif new:
            self._send("SUBSCRIBE", new)
        for confirmation in [self._confirmations[channel] for channel in channels if channel in self._confirmations]:
            await asyncio.shield(confirmation)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels."""
        self._channels.difference_update(channels)
        for channel in channels:
            self._restored(channel)
        self._send("UNSUBSCRIBE", list(channels))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._task is not None:
            tasks = [self._task, *self._sending]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _send(self, command: str, channels: list[str]) -> None:
        """Send a command in a task of its own, because a subscriber that is cancelled must not close the connection."""
        if self._connection is None:
            return  # the next connection subscribes to all channels
        task = asyncio.get_running_loop().create_task(self._send_parts(self._connection, command, channels))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_parts(self, connection: "PubSubConnection", command: str, channels: list[str]) -> None:
        async with self._turn:
            with suppress(BrokerUnavailable):  # receiving fails too, and the connection is replaced
                for start in range(0, len(channels), CHANNELS_PER_COMMAND):
                    names = [self._prefix + channel for channel in channels[start : start + CHANNELS_PER_COMMAND]]
                    await connection.send(command, *names)

    async def _run(self) -> None:
        first, attempts = True, 0
        while True:
            try:
                await self._listen(first)
            except Exception as exc:  # whatever it is, streams stay open, and the connection is tried again
                self._outage.failed(exc)
            attempts = 1 if self._confirmed else attempts + 1
            first = self._confirmed = False
            await wait_before_attempt(attempts)

    async def _listen(self, first: bool) -> None:
        connection = await self._connect()
        try:
            self._unconfirmed.clear()
            self._confirmations = {
                name: self._confirmations[name] for name in self._confirmations.keys() & self._channels
            }
            self._expect(self._channels)
            self._not_restored = set() if first else set(self._channels)
            self._last_number = 0
            self._connection = connection
            self._send("SUBSCRIBE", list(self._channels))
            if not first and not self._channels:
                self._outage.succeeded()
            await self._receive(connection)
        finally:
            self._connection = None
            for task in self._sending:
                task.cancel()
            await connection.aclose()

    def _expect(self, channels: Collection[str]) -> None:
        """Expect one more confirmation for each channel. A subscriber waits for the last one of its channel."""
        for channel in channels:
            self._unconfirmed[channel] += 1
            self._confirmations.setdefault(channel, asyncio.get_running_loop().create_future())

    async def _receive(self, connection: "PubSubConnection") -> None:
        pinged = False
        while True:
            reply = await connection.receive(self._silence)
            if reply is not None:
                pinged = False
                self._handle(reply)
            elif pinged:
                raise BrokerUnavailable(f"Redis must answer in {self._silence} s, got silence. Check whether it hangs.")
            else:
                pinged = True
                await connection.send("PING")

    def _handle(self, reply: list[Any]) -> None:
        kind = reply[0]
        if kind == b"message":
            # Until all channels are restored, events are left to history, which _restored() asks for.
            if not self._not_restored:
                self._handle_message(reply[1].decode().removeprefix(self._prefix), reply[2])
        elif kind == b"subscribe":
            self._handle_confirmation(reply[1].decode().removeprefix(self._prefix))

    def _handle_message(self, channel: str, message: bytes) -> None:
        number, _, body = message.partition(b":")
        event = self._foreign.event(channel, number, body)  # any client of Redis may publish to the channel
        if event is None:
            return
        if event.number > (time() + MAX_AHEAD) * 1_000_000:
            self._foreign.log(channel, "has an ID far ahead of this machine's clock, which may be wrong")
            self._receiver.resync()  # if the event is the broker's, history contains it
            return
        if event.number > self._last_number:
            self._receiver.receive(event)
        else:
            self._foreign.log(channel, "has an ID out of order, or follows such data")
            self._receiver.resync()
        self._last_number = event.number

    def _handle_confirmation(self, channel: str) -> None:
        self._confirmed = True
        self._outage.succeeded()
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            if confirmation := self._confirmations.pop(channel, None):
                confirmation.set_result(None)
            self._restored(channel)

    def _restored(self, channel: str) -> None:
        """Note that a channel is subscribed to again, or no longer needed. After the last one, streams read history."""
        if channel in self._not_restored:
            self._not_restored.discard(channel)
            if not self._not_restored:
                self._receiver.resync()
