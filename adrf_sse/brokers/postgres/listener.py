"""What receives notifications from PostgreSQL, and reads the events that they announce."""

import asyncio
import re
from collections.abc import Collection

from adrf_sse.brokers.base import Receiver
from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.link import Link
from adrf_sse.brokers.postgres.queries import EVENT, EVENTS, POSITION
from adrf_sse.exceptions import BrokerUnavailable

MAX_WAITING = 10_000
"""Events that wait to be read at most. Beyond that, streams read history instead."""

READ_EVENTS, READ_BYTES = 500, 1024 * 1024
"""Events, and bytes of events before the last one, that are read at once at most."""

_ANNOUNCED = re.compile(r"([0-9]{1,18}) ([0-9]{1,18}) (?:([^* ]*)\* ?([0-9]{1,9})|([^* ]+(?: [^* ]+)*))")
"""What a notification contains: the last ID before, the first ID, and the number of events, perhaps with the channel of
all of them, or the channel of each."""


class PostgresListener:
    """Subscribe one event loop to channels, over one connection, however many subscribers they have."""

    def __init__(self, link: Link, receiver: Receiver, database: Database) -> None:
        self._link = link
        self._receiver = receiver
        self._database = database
        self._channels: set[str] = set()
        self._waiting: dict[int, str] = {}  # channels by the IDs of their events, in order
        self._incomplete = False  # events were published that do not wait here
        self._task: asyncio.Task[None] | None = None
        self._is_open = asyncio.Event()
        self._was_open = False
        self._woken = asyncio.Event()
        self._outage = Outage("receiving events from PostgreSQL")
        self._attempts = 0  # that failed since something succeeded
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
        """Receive nothing more. The connection closes when nothing is read over it."""
        self._link.unlisten()
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
        self._succeeded()
        self._is_open.set()

    def lost(self) -> None:
        """Receive nothing until another connection is open."""
        self._is_open.clear()
        self._waiting.clear()
        self._woken.set()

    def notified(self, payload: str) -> None:
        """Note the events that a transaction has published."""
        announced = _ANNOUNCED.fullmatch(payload)
        if announced is None:
            return  # another program has sent it
        previous, number, total = int(announced[1]), int(announced[2]), int(announced[4] or 0)
        if announced[3]:
            channels = [announced[3]] * min(total, MAX_WAITING + 1)
        else:
            channels = announced[5].split(" ") if announced[5] else []
        if not channels or previous > self._last_number or number <= self._last_number:
            # It does not name the channels, or there is one before it that was lost, or it is not ours.
            self._incomplete = True
        self._last_number = number + (total or len(channels)) - 1
        if not self._incomplete:
            self._add(number, channels)
        self._woken.set()

    def _add(self, number: int, channels: list[str]) -> None:
        events = enumerate(channels, number)
        self._waiting.update((number, channel) for number, channel in events if channel in self._channels)
        if len(self._waiting) > MAX_WAITING:
            self._incomplete = True

    # The task

    async def _run(self) -> None:
        while True:
            try:
                if not self._is_open.is_set():
                    await self._link.listen(self)
                await self._listen()
            except Exception as exc:  # whatever it is, streams stay open, and it is tried again
                self._outage.failed(exc)
                self._incomplete = True
            self._attempts += 1
            await wait_before_attempt(self._attempts)

    async def _listen(self) -> None:
        while self._is_open.is_set():
            if self._incomplete:
                self._incomplete = False
                self._waiting.clear()
                self._receiver.resync()
            elif self._waiting:
                await self._deliver()
            else:
                await self._wait()
        raise BrokerUnavailable("PostgreSQL must keep the connection open, got it closed. Check that it runs.")

    def _succeeded(self) -> None:
        self._attempts = 0
        self._outage.succeeded()

    async def _deliver(self) -> None:
        """Read the first events that wait, as many as fit, and deliver them."""
        numbers = list(self._waiting)[:READ_EVENTS]
        query = (EVENT, numbers) if len(numbers) == 1 else (EVENTS, [numbers, READ_BYTES])
        bodies = dict(await self._link.execute("return the events", *query))
        self._succeeded()
        last = max(bodies, default=numbers[-1])
        for number in numbers:
            if number > last:
                break
            channel = self._waiting.pop(number, None)
            if channel is None or channel not in self._channels:
                continue  # the connection was lost, or the subscribers have left
            if number in bodies:
                self._receiver.receive(ChannelEvent(channel, number, bodies[number]))
            else:
                self._receiver.resync()  # it has been dropped already

    async def _wait(self) -> None:
        """Wait for notifications. After a silence, look whether some were lost, because a pooler may drop them."""
        try:
            async with asyncio.timeout(self._database.timeout):
                await self._woken.wait()
        except TimeoutError:
            await self._look()
        self._woken.clear()

    async def _look(self) -> None:
        """Compare the last ID of the look before with that of the last notification."""
        before = self._position
        [[self._position]] = await self._link.execute("return its position", POSITION)
        self._succeeded()
        if self._last_number < before:
            self._last_number = before
            self._incomplete = True
            self._database.warn_of_lost_notifications()
