"""IDs follow the order of commits: a reader that has seen an ID never finds a smaller one later."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from adrf_sse.brokers import get_broker
from adrf_sse.channels import apublish, publish, subscribe
from tests.channels.test_postgres_transactions import Undo, atomic

CHANNELS = ["a", "b", "c", "d"]
WRITERS = 8
LOG = """
CREATE TABLE published AS SELECT id, channel FROM adrf_sse_event LIMIT 0;
CREATE FUNCTION note_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.published VALUES (NEW.id, NEW.channel);
    RETURN NULL;
END $$;
CREATE TRIGGER note_published AFTER INSERT ON adrf_sse_event FOR EACH ROW EXECUTE FUNCTION note_published();
"""
NO_LOG = "DROP TABLE published; DROP FUNCTION note_published CASCADE"


@pytest.fixture
def published(postgres_broker):
    """Return the IDs and channels of all events that were published to channels, in order, deleted ones too."""
    postgres_broker.execute(LOG)
    query = "SELECT id, channel FROM published WHERE channel = ANY (%s) ORDER BY id"
    yield lambda channels: postgres_broker.execute(query, list(channels))
    postgres_broker.execute(NO_LOG)


class Writer:
    """Publish numbered events in short and long transactions, some of which are rolled back, and outside of them."""

    def __init__(self, number, transactions):
        self._number = number
        self._random = random.Random(number)
        self._transactions = transactions
        self.committed = []
        """The data of the events that must be delivered, by transaction."""

    def run(self):
        try:
            for number in range(self._transactions):
                kind = self._random.choice([self._alone, self._short, self._long, self._undone])
                self.committed.append(kind([self._number, number]))
        finally:
            connections["events"].close()

    def _publish(self, data):
        publish(self._random.choice(CHANNELS), data)
        return data

    def _wait(self):
        with connections["events"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [self._random.random() / 50])

    def _alone(self, data):
        return [self._publish([*data, 0])]

    def _short(self, data):
        with atomic():
            return [self._publish([*data, part]) for part in range(self._random.randrange(1, 4))]

    def _long(self, data):
        with atomic():
            events = [self._publish([*data, 0])]
            self._wait()
            with pytest.raises(Undo), atomic():  # noqa: PT012
                self._publish("of a savepoint that is rolled back")
                raise Undo
            events.append(self._publish([*data, 1]))
            self._wait()
        return events

    def _undone(self, data):
        with atomic():
            self._publish("of a transaction that is rolled back")
            self._wait()
            transaction.set_rollback(True, "events")
        return []


async def pages(channels, after):
    """Yield the events of a history, read in pages."""
    while True:
        page = await get_broker().read(channels, after, 20)
        for event in page.events:
            yield event
        if page.complete:
            return
        after = page.events[-1].number


async def poll(channels, stop):
    """Read the whole history again and again, and what is new since the last event; return the latter."""
    seen, new = set(), []
    while True:
        is_last = stop.is_set()
        for after in (0, new[-1].number if new else 0):
            async for event in pages(channels, after):
                if event.number not in seen:
                    assert not seen or event.number > max(seen), "an event was published before one that was seen"
                    seen.add(event.number)
                if not new or event.number > new[-1].number:
                    new.append(event)
        if is_last:
            return new


async def follow(channels, opened):
    """Receive live events until the last one of each channel, and return all that were received."""
    received, open_channels = [], set(channels)
    async with subscribe(*channels) as events:
        opened.set()
        async for event in events:
            received.append(event)
            if event.event == "end":
                open_channels.discard(event.data)
                if not open_channels:
                    return received


def check_received(received, published):
    """Check that events were received once and in order, and that before each gap in a channel there is a reset."""
    events = [event for event in received if event.event != "reset"]
    numbers = [event.number for event in events]
    assert numbers == sorted(set(numbers))
    assert {(event.number, event.channel) for event in events} <= set(published)
    expected = {}
    for number, channel in published:
        expected.setdefault(channel, []).append(number)
    announced = set()
    for event in received:
        if event.event == "reset":
            announced = set(expected)
            continue
        place = expected[event.channel].index(event.number)
        assert not place or event.channel in announced, "events are lost, and no reset says so"
        announced.discard(event.channel)
        del expected[event.channel][: place + 1]
    assert not any(expected.values()), "the last events are lost"
    return len(received) - len(events)


async def run(transactions, *, trim=False):
    """Let writers publish and readers read, and return what was to be delivered, was followed, and was polled."""
    stop = asyncio.Event()
    audiences = [CHANNELS, CHANNELS[:2], CHANNELS[1:], CHANNELS[3:]]
    opened = [asyncio.Event() for _ in audiences]
    followers = [asyncio.create_task(follow(*each)) for each in zip(audiences, opened, strict=True)]
    for event in opened:
        await event.wait()
    pollers = [asyncio.create_task(poll(channels, stop)) for channels in audiences[:2]]
    writers = [Writer(number, transactions) for number in range(WRITERS)]

    def trim_all():
        try:
            while not stop.is_set():
                get_broker().trim()
        finally:
            connections["events"].close()

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        loop = asyncio.get_running_loop()
        trimming = loop.run_in_executor(threads, trim_all) if trim else None
        try:
            await asyncio.gather(*(loop.run_in_executor(threads, writer.run) for writer in writers))
            for channel in CHANNELS:
                await apublish(channel, channel, event="end")
        finally:
            stop.set()
        if trimming:
            await trimming
    committed = [events for writer in writers for events in writer.committed if events]
    return (
        committed,
        list(zip(audiences, await asyncio.gather(*followers), strict=True)),
        await asyncio.gather(*pollers),
    )


@pytest.mark.parametrize("transactions", [12, pytest.param(150, marks=pytest.mark.slow)])
async def test_readers_find_events_in_the_order_of_commits(settings, published, transactions):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 100_000, "MAX_SUBSCRIBER_BACKLOG": 100_000}
    committed, followed, polled = await run(transactions)
    for channels, received in followed:
        assert check_received(received, published(channels)) == 0
    everything = [event for event in followed[0][1] if event.event != "end"]
    assert [(event.number, event.channel) for event in polled[0]] == published(CHANNELS)
    assert sorted(event.data for event in everything) == sorted(data for events in committed for data in events)
    places = {tuple(event.data): place for place, event in enumerate(everything)}
    for events in committed:
        first = places[tuple(events[0])]
        assert [places[tuple(data)] - first for data in events] == list(range(len(events))), "others came between"


@pytest.mark.parametrize("transactions", [12, pytest.param(150, marks=pytest.mark.slow)])
async def test_readers_lose_nothing_unnoticed_while_events_are_deleted(settings, published, transactions):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5, "MAX_SUBSCRIBER_BACKLOG": 100_000}
    committed, followed, _ = await run(transactions, trim=True)
    for channels, received in followed:
        check_received(received, published(channels))
    assert len(published(CHANNELS)) == sum(map(len, committed)) + len(CHANNELS)
