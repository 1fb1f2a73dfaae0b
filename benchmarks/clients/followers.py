"""Followers: clients that follow channels as an ``EventSource`` does, over one connection after the other."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import httptools

from adrf_sse.events.parsers import EventParser
from benchmarks.clients.connections import OPENERS, request
from benchmarks.limits import PATIENCE
from benchmarks.soak.ledger import Ledger, Page

RETRY = 3000
"""Milliseconds before a client connects again, until a stream has set another time; browsers have 3 to 5 s."""

JITTER = 0.5
"""Seconds that a client waits longer at most."""


class Connection(asyncio.Protocol):
    """Request a stream, and hand over the parts of the response."""

    def __init__(self, follower: "Follower") -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._follower = follower
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(self._follower.request())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            self._follower.followers.counts["rejected"] += 1

    def on_body(self, body: bytes) -> None:
        self._follower.read(body)

    def on_message_complete(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Follower:
    """Follow some channels."""

    def __init__(self, followers: "Followers", page: Page) -> None:
        self.followers = followers
        self._page = page
        self._opened = 0
        self._parser = EventParser()
        self._retry = RETRY
        self._last_id = ""

    def request(self) -> bytes:
        """Return the bytes of the next request."""
        query = "&".join(f"name={name}" for name in sorted(self._page.channels))
        return request(f"/channels?{query}", "text/event-stream", self.followers.cookie, self._last_id)

    async def follow(self) -> None:
        """Connect again after each end of a stream, for ever."""
        while True:
            self._parser, self._opened = EventParser(), 0
            with suppress(OSError):
                await self._visit()
            if not self._opened:
                self.followers.counts["failed"] += 1
            self.followers.note_closed(self)
            await asyncio.sleep(self._retry / 1000 + random.uniform(0, JITTER))

    async def _visit(self) -> None:
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), "127.0.0.1", self.followers.next_port()
        )
        try:
            await connection.ended
        finally:
            transport.abort()

    def read(self, body: bytes) -> None:
        """Read a part of a stream."""
        now = time.monotonic_ns()
        for event in self.followers.ledger.receive(self._page, self._parser, body):
            if event.event == "ready":
                self._opened = now
                self.followers.note_open(self, now)
            elif event.event is None and self._opened:
                self._note_delay(json.loads(event.data)["at"], now)
        self._retry = self._parser.retry or self._retry
        self._last_id = self._parser.last_event_id or self._last_id

    def _note_delay(self, published: int, now: int) -> None:
        if published > self._opened:  # else, the event was missed and is sent again
            self.followers.delays.append(now - published)


class Followers:
    """Hold what all followers share."""

    def __init__(self, ports: list[int], cookie: str) -> None:
        self.cookie = cookie
        self.ledger = Ledger()
        self.counts = Counter(failed=0, rejected=0)
        """Attempts that did not open a stream, and those of them that were answered with a status other than 200."""
        self.delays: list[int] = []
        """Nanoseconds from publishing an event to its arrival, if the follower's stream was open before."""
        self.last_opened = 0
        """When the last stream was opened, in nanoseconds."""
        self._ports = cycle(ports)
        self._all_open = asyncio.Event()
        self._closed: set[Follower] = set()

    def next_port(self) -> int:
        """Return the port of the next server in turn."""
        return next(self._ports)

    def note_open(self, follower: Follower, now: int) -> None:
        """Note that a follower has an open stream."""
        self.last_opened = now
        self._closed.discard(follower)
        if not self._closed:
            self._all_open.set()

    def note_closed(self, follower: Follower) -> None:
        """Note that a follower has no open stream."""
        self._closed.add(follower)
        self._all_open.clear()

    async def wait_until_open(self, patience: float) -> None:
        """Wait until each follower has an open stream."""
        try:
            await asyncio.wait_for(self._all_open.wait(), patience)
        except TimeoutError:
            raise TimeoutError(f"{len(self._closed)} clients have no open stream after {patience:g} s") from None

    @asynccontextmanager
    async def following(self, choices: list[frozenset[str]]) -> AsyncIterator[None]:
        """Let a follower follow each choice of channels, from when all have an open stream to the end of the block."""
        tasks = []
        try:
            for start in range(0, len(choices), OPENERS):
                for channels in choices[start : start + OPENERS]:
                    follower = Follower(self, self.ledger.open(channels))
                    self.note_closed(follower)
                    tasks.append(asyncio.create_task(follower.follow()))
                await self.wait_until_open(PATIENCE)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
