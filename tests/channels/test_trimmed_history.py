"""A client that missed events which the broker no longer keeps receives a reset before the event that follows them."""

import asyncio
import json
import random
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from adrf_sse.channels import apublish, subscribe, subscriber_counts
from adrf_sse.exceptions import SubscriberLagged
from adrf_sse.testing.stream import StreamEnded
from adrf_sse.views import ChannelStreamView

CHANNELS = [f"c{n}" for n in range(12)]
VISITS = 5
PADDING = "x" * 1500
"""Makes a client that reads slowly fill the buffers before it."""


class Feed(ChannelStreamView):
    def get_channels(self):
        return self.request.GET["channels"].split(",")


class Publisher:
    """Publish numbered events to all channels in random order."""

    def __init__(self, seed):
        self._choose = random.Random(seed)
        self._next = dict.fromkeys(CHANNELS, 0)
        self._published = asyncio.Condition()
        self._total = 0
        self.stopped = False

    async def run(self):
        while not self.stopped:
            channel = self._choose.choice(CHANNELS)
            await apublish(channel, {"channel": channel, "number": self._next[channel], "padding": PADDING})
            self._next[channel] += 1
            async with self._published:
                self._total += 1
                self._published.notify_all()
            await asyncio.sleep(0)

    async def events(self, count):
        """Wait until so many more events are published."""
        wanted = self._total + count
        async with self._published:
            await self._published.wait_for(lambda: self._total >= wanted)


class Client:
    """Check that each gap between the numbers of a channel's events is announced by a reset."""

    def __init__(self, channels):
        self.channels = channels
        self.last_id = None
        self.resets = 0
        self.gaps = 0
        self._numbers = dict.fromkeys(channels)  # number of the last event, and whether a reset came after it
        self._announced = set()

    def receive(self, event):
        assert int(event.id) >= int(self.last_id or 0), "a client would resume before what it has received"
        self.last_id = event.id
        if event.event == "reset":
            self.resets += 1
            self._announced = set(self.channels)
        elif event.event is None:
            data = json.loads(event.data) if isinstance(event.data, str) else event.data
            self._receive_number(data["channel"], data["number"])

    def _receive_number(self, channel, number):
        before = self._numbers[channel]
        if before is not None and number != before + 1:
            assert number > before, f"{channel} repeats {number} after {before}"
            assert channel in self._announced, f"{channel} continues with {number} after {before} without a reset"
            self.gaps += 1
        self._numbers[channel] = number
        self._announced.discard(channel)


@asynccontextmanager
async def stream(visit, client):
    headers = {} if client.last_id is None else {"Last-Event-ID": client.last_id}
    async with visit(Feed.as_view(), url=f"/?channels={','.join(client.channels)}", headers=headers) as events:
        yield partial(events.next, timeout=30)


@asynccontextmanager
async def subscription(visit, client):
    async with subscribe(*client.channels, last_event_id=client.last_id) as events:
        yield events.__anext__


async def come_and_go(connect, visit, client, publisher, seed):
    choose = random.Random(seed)
    for _ in range(VISITS):
        with suppress(SubscriberLagged, StreamEnded):  # it read too slowly
            async with connect(visit, client) as receive:
                for _ in range(choose.randrange(1, 60)):
                    client.receive(await receive())
                    if choose.random() < 0.2:
                        await publisher.events(choose.randrange(1, 20))
        await publisher.events(choose.choice([1, 10, 50, 150]))


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("connect", [stream, subscription])
async def test_each_gap_in_a_trimmed_history_is_announced(settings, visit, connect):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5, "MAX_SUBSCRIBER_BACKLOG": 30}
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    publisher = Publisher(seed)
    clients = [Client(choose.sample(CHANNELS, choose.randrange(1, 8))) for _ in range(8)]
    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.run())
        async with asyncio.TaskGroup() as visits:
            for number, client in enumerate(clients):
                visits.create_task(come_and_go(connect, visit, client, publisher, seed + number))
        publisher.stopped = True
    assert sum(client.gaps for client in clients) > 0, "no history was trimmed"
    assert subscriber_counts() == {}
