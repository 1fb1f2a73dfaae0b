"""What brings the events that any thread publishes in this process to one event loop."""

import asyncio
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

from adrf_sse.brokers.base import Receiver
from adrf_sse.brokers.messages import ChannelEvent

if TYPE_CHECKING:
    from adrf_sse.brokers.memory import MemoryBroker

MAX_WAITING, MAX_WAITING_BYTES = 10_000, 16 * 1024 * 1024
"""Events, and bytes of events, that wait for an event loop at most. Beyond that, its streams read history instead."""


class MemoryListener:
    """Bring the events that any thread publishes to one event loop."""

    def __init__(self, broker: "MemoryBroker", receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._receiver = receiver
        self._loop = loop
        self._lock = threading.RLock()
        self._waiting: list[ChannelEvent] = []
        self._bytes = 0  # of the events that wait
        self._overrun = False
        self._called = False  # the loop will call _deliver()
        self._delivering = False

    async def subscribe(self, channels: Collection[str]) -> None:
        """Receive the events of these channels from now on."""
        self._broker.add_listener(self, channels)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from these channels."""
        self._broker.remove_listener(self, channels)

    async def aclose(self) -> None:
        """Receive nothing more."""
        self._broker.remove_listener(self)

    def put(self, event: ChannelEvent) -> None:
        """Add an event for the loop. The broker calls this in the order of the events."""
        with self._lock:
            self._bytes += len(event.frame)
            if len(self._waiting) >= MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
                self._waiting.clear()
                self._overrun = True
            if not self._overrun:
                self._waiting.append(event)

    def wake(self) -> None:
        """Let the loop deliver the events; in the loop's own thread, deliver them at once."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._deliver()
        elif not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed, with all its streams
                self._broker.remove_listener(self)

    def _deliver(self) -> None:
        if self._delivering:
            return  # a receiver of an event has published; its event follows those that are being delivered
        self._delivering = True
        try:
            while self._called or self._waiting or self._overrun:
                with self._lock:
                    events, self._waiting, self._bytes = self._waiting, [], 0
                    overrun, self._overrun = self._overrun, False
                    self._called = False
                for event in events:
                    self._receiver.receive(event)
                if overrun:
                    self._receiver.resync()
        finally:
            self._delivering = False
