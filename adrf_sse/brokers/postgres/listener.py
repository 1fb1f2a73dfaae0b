"""What receives notifications from PostgreSQL, and reads the events that they announce."""

import asyncio
from collections.abc import Collection

from adrf_sse.brokers.base import Receiver
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.brokers.postgres.link import Link
from adrf_sse.brokers.postgres.queries import EVENTS, POSITION
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.logs import about, logger

MAX_WAITING = 10_000
"""Events that wait to be read at most. Beyond that, streams read history instead."""

READ_EVENTS, READ_BYTES = 500, 1024 * 1024
"""Events, and bytes of events before the last one, that are read at once at most."""

_LOST = (
    "PostgreSQL must send notifications of events, got none. Streams receive events only every few seconds. If there "
    "is a pooler in front of PostgreSQL, give PostgresBroker the option listen, with the host and port of PostgreSQL."
)


class PostgresListener:
    """Subscribe one event loop to channels, over one connection, however many subscribers they have."""

    def __init__(self, link: Link, receiver: Receiver, *, silence: float) -> None:
        self._link = link
        self._receiver = receiver
        self._silence = silence
        self._channels: set[str] = set()
        self._waiting: dict[int, str] = {}  # channels by the IDs of their events, in order
        self._incomplete = False  # events were published that do not wait here
        self._task: asyncio.Task[None] | None = None
        self._is_open = asyncio.Event()
        self._was_open = False
        self._woken = asyncio.Event()
        self._outage = Outage("receiving events from PostgreSQL")
        self._last_number = 0  # ID of the last event that a notification has announced
        self._position = 0  # the last ID at the last look

    async def subscribe(self, channels: Collection[str]) -> None:
        """Receive the events of channels. Returns when PostgreSQL has confirmed it, however long it is unavailable."""
        self._channels.update(channels)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="adrf_sse postgres")
        await self._is_open.wait()

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels."""
        self._channels.difference_update(channels)

    async def aclose(self) -> None:
        """Close the connection."""
        self._link.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # Called by the link

    def opened(self, position: int) -> None:
        """Receive events after this ID, and let streams read history from before, unless the link is the first one."""
        self._last_number = self._position = position
        if self._was_open:
            self._receiver.resync()
        self._was_open = True
        self._outage.succeeded()
        self._is_open.set()

    def lost(self) -> None:
        """Receive nothing until another connection is open."""
        self._is_open.clear()
        self._waiting.clear()
        self._woken.set()

    def notified(self, payload: str) -> None:
        """Note the events that a transaction has published: the first ID, and the channel of each event."""
        try:
            first, *channels = payload.split(" ")
            number = int(first)
            if channels[0] == "*":
                self._incomplete = True
                last = number + int(channels[1]) - 1
            else:
                last = number + len(channels) - 1
        except (ValueError, IndexError):
            return  # another program has sent it
        if number <= self._last_number:
            self._incomplete = True  # a standby that became the primary may not have the last events
        self._last_number = last
        if channels[0] != "*":
            self._add(number, channels)
        self._woken.set()

    def _add(self, number: int, channels: list[str]) -> None:
        events = enumerate(channels, number)
        self._waiting.update((number, channel) for number, channel in events if channel in self._channels)
        if len(self._waiting) > MAX_WAITING:
            self._incomplete = True

    # The task

    async def _run(self) -> None:
        attempts = 0
        while True:
            try:
                await self._link.listen(self)
                attempts = 0
                await self._listen()
            except Exception as exc:  # whatever it is, streams stay open, and the connection is tried again
                self._outage.failed(exc)
            attempts += 1
            await wait_before_attempt(attempts)

    async def _listen(self) -> None:
        while self._is_open.is_set():
            try:
                async with asyncio.timeout(self._silence):
                    await self._woken.wait()
            except TimeoutError:
                await self._look()
                continue
            self._woken.clear()
            if self._incomplete:
                self._resync()
            while self._waiting:
                await self._deliver()
        raise BrokerUnavailable("PostgreSQL must keep the connection open, got it closed. Check that it runs.")

    def _resync(self) -> None:
        self._incomplete = False
        self._waiting.clear()
        self._receiver.resync()

    async def _deliver(self) -> None:
        """Read the first events that wait, as many as fit, and deliver them."""
        numbers = list(self._waiting)[:READ_EVENTS]
        bodies = dict(await self._link.run("return the events", EVENTS, [numbers, READ_BYTES]))
        last = max(bodies, default=numbers[-1])
        for number in numbers:
            if number > last:
                break
            channel = self._waiting.pop(number)
            if number not in bodies:
                self._receiver.resync()  # it has been dropped already
            elif channel in self._channels:
                self._receiver.receive(ChannelEvent(channel, number, bodies[number]))

    async def _look(self) -> None:
        """Compare the last ID with that of the last notification, because a pooler may drop notifications."""
        before = self._position
        [[self._position]] = await self._link.run("return its position", POSITION)
        if self._last_number < before:
            self._last_number = before
            self._receiver.resync()
            logger.warning(_LOST, extra=about(None))
