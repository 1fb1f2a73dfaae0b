"""Publishing through PostgreSQL is part of the transaction, of every kind that Django has."""

import random
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, connections, transaction
from django.test import Client, TestCase
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.channels import apublish, current_event_id, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable

pytestmark = pytest.mark.usefixtures("postgres_broker")


class Undo(Exception):
    """Rolls a transaction or a savepoint back."""


def atomic(**kwargs):
    return transaction.atomic("events", **kwargs)


@contextmanager
def rolled_back(alias="events"):
    with pytest.raises(Undo), transaction.atomic(alias):  # noqa: PT012
        yield
        raise Undo


def kept(server):
    """Return the data of all events that were published, in the order of their IDs."""
    rows = server.execute("SELECT channel, id, body FROM adrf_sse_event ORDER BY id")
    assert server.execute("SELECT count(*) FROM adrf_sse_staged") == [(0,)], "a transaction leaves staged events behind"
    return [ChannelEvent(*row).data for row in rows]


def in_thread(function, *arguments, alias="events"):
    """Call a function in a thread, which has its own connection."""

    def call():
        try:
            return function(*arguments)
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(call).result()


# Commits and rollbacks


async def test_an_event_is_delivered_when_its_transaction_commits_and_only_then():
    def write():
        with atomic():
            assert publish("news", "early") is None
            return in_thread(publish, "news", "from a transaction that is shorter")

    async with subscribe("news") as events:
        number = await sync_to_async(write)()
        first, second = await anext(events), await anext(events)
    assert (first.data, first.id) == ("from a transaction that is shorter", str(number))
    assert second.data == "early"
    assert int(second.id) > number


async def test_an_event_is_not_delivered_after_a_rollback():
    def write():
        with rolled_back():
            assert publish("news", "rolled back") is None

    async with subscribe("news") as events:
        await sync_to_async(write)()
        await apublish("news", "after")
        assert (await anext(events)).data == "after"


def test_publish_returns_the_id_outside_of_a_transaction_only(postgres_broker):
    number = publish("news", 1)
    with atomic():
        assert publish("news", 2) is None
        with atomic():
            assert publish("news", 3) is None
    assert publish("news", 4) > current_event_id() - 1 > number
    assert kept(postgres_broker) == [1, 2, 3, 4]


def test_a_savepoint_that_is_rolled_back_publishes_nothing_even_if_it_has_the_first_event(postgres_broker):
    with atomic():
        with rolled_back():
            publish("news", "first")
        with atomic():
            publish("news", 1)
            with rolled_back():
                publish("news", "third")
                with atomic():
                    publish("news", "fourth")
        publish("other", 2)
    assert kept(postgres_broker) == [1, 2]


class Program:
    """Publish in random transactions with random savepoints, and note what must be delivered."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._number = 0

    def run(self):
        """Return the data of the events that must be delivered, in order."""
        expected = []
        for _ in range(10):
            expected += self._block(0)
        return expected

    def _block(self, depth):
        events, undone = [], self._random.random() < 0.4
        try:
            with atomic(savepoint=True):
                for _ in range(self._random.randrange(5)):
                    events += self._step(depth)
                if undone:
                    raise Undo
        except Undo:
            return []
        return events

    def _step(self, depth):
        step = self._random.random()
        if step < 0.4 and depth < 4:
            return self._block(depth + 1)
        if step < 0.5:
            connections["events"].check_constraints()
            return []
        if step < 0.55:
            with connections["events"].cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return []
        self._number += 1
        publish(self._random.choice("abc"), self._number)
        return [self._number]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_savepoints_publishes_what_they_keep_in_order(postgres_broker, seed):
    expected = Program(seed).run()
    assert kept(postgres_broker) == expected


async def test_constraints_that_are_checked_early_do_not_deliver_events_before_the_commit():
    def write():
        with rolled_back():
            publish("news", "rolled back")
            connections["events"].check_constraints()
        with atomic():
            publish("news", 1)
            connections["events"].check_constraints()
            publish("news", 2)
            with rolled_back():
                connections["events"].check_constraints()
                publish("news", "savepoint")
                connections["events"].check_constraints()
            publish("news", 3)

    async with subscribe("news") as events:
        await sync_to_async(write)()
        assert [(await anext(events)).data for _ in range(3)] == [1, 2, 3]


def test_an_error_of_publish_rolls_the_transaction_back(postgres_broker):
    def write():
        with atomic():
            publish("news", "before")
            with connections["events"].cursor() as cursor:
                cursor.execute("SET LOCAL search_path TO pg_catalog")
            with pytest.raises(BrokerUnavailable, match=r"must store the event, got UndefinedFunction"):
                publish("news", "unknown")
            assert connections["events"].needs_rollback
            with pytest.raises(transaction.TransactionManagementError):
                publish("news", "after")

    write()
    assert publish("news", "next") > 0
    assert kept(postgres_broker) == ["next"]


@pytest.mark.parametrize(("before", "after"), [(1, 0), (2, 0), (1, 1), (2, 2)])
def test_a_transaction_that_forgets_its_settings_fails_and_loses_no_event_unnoticed(postgres_broker, before, after):
    def write():
        with atomic(), connections["events"].cursor() as cursor:
            for number in range(before):
                publish("news", number)
            cursor.execute("RESET ALL")
            for number in range(after):
                publish("news", number)

    with pytest.raises(DatabaseError, match="must keep its settings, got RESET ALL"):
        write()
    assert kept(postgres_broker) == []


# What else can be a transaction


def test_without_autocommit_events_wait_for_the_commit(postgres_broker):
    transaction.set_autocommit(False, "events")
    try:
        assert publish("news", 1) is None
        transaction.rollback("events")
        assert publish("news", 2) is None
        assert kept_elsewhere(postgres_broker) == []
        transaction.commit("events")
        assert publish("news", 3) is None
        transaction.rollback("events")
    finally:
        transaction.set_autocommit(True, "events")
    assert publish("news", 4) is not None
    assert kept(postgres_broker) == [2, 4]


def kept_elsewhere(server):
    return server.execute("SELECT id FROM adrf_sse_event")


class Order(APIView):
    server = None

    def post(self, request):
        publish("orders", request.data["order"])
        if request.data["order"] == "bad":
            raise Undo
        if request.data["order"] == "refused":
            transaction.set_rollback(True, "events")
        return Response({"delivered": len(kept_elsewhere(self.server))})


def test_a_request_with_atomic_requests_publishes_when_it_succeeds(postgres_broker, settings, monkeypatch):
    monkeypatch.setitem(connections["events"].settings_dict, "ATOMIC_REQUESTS", True)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Order.as_view(server=postgres_broker))]})
    client = Client(raise_request_exception=False)
    responses = [client.post("/", {"order": order}) for order in ("good", "bad", "refused", "fine")]
    assert [response.status_code for response in responses] == [200, 500, 200, 200]
    assert responses[0].json() == {"delivered": 0}, "the event is delivered before the request's transaction commits"
    assert kept(postgres_broker) == ["good", "fine"]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_another_database_is_not_concerned(postgres_broker):
    with rolled_back("default"):
        assert publish("news", "published") is not None
        assert kept(postgres_broker) == ["published"]


async def test_asynchronous_code_publishes_in_the_transaction_of_its_thread(postgres_broker):
    def write(*, fail):
        with atomic():
            assert publish("news", "sync") is None
            assert async_to_sync(apublish)("news", "async") is None
            if fail:
                raise Undo

    with pytest.raises(Undo):
        await sync_to_async(write)(fail=True)
    assert await apublish("news", "alone") is not None
    await sync_to_async(write)(fail=False)
    assert kept(postgres_broker) == ["alone", "sync", "async"]


def test_threads_have_transactions_of_their_own(postgres_broker):
    with rolled_back():
        publish("news", "rolled back")
        assert in_thread(publish, "news", "published") is not None
    assert kept(postgres_broker) == ["published"]


# Many and large events


@pytest.mark.parametrize("count", [100, 2000])
async def test_all_events_of_a_transaction_are_delivered_in_order(settings, count):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 5000, "MAX_SUBSCRIBER_BACKLOG": 5000}
    channels = ["a", "b" * 200, f"{'c' * 199}."]

    def write():
        with atomic():
            for number in range(count):
                publish(channels[number % 3], number)
            for _ in range(5):
                publish("d", "not subscribed")

    async with subscribe(*channels) as events:
        await sync_to_async(write)()
        await apublish("a", count)
        received = [await anext(events) for _ in range(count + 1)]
    assert [event.data for event in received] == list(range(count + 1))
    numbers = [int(event.id) for event in received]
    assert numbers[:count] == list(range(numbers[0], numbers[0] + count))


async def test_large_events_are_delivered():
    data = ["x" * (1024 * 1024 - 10), "y" * (1024 * 1024 - 10), "small"]

    def write():
        with atomic():
            for text in data:
                publish("news", text)

    async with subscribe("news") as events:
        await sync_to_async(write)()
        assert [(await anext(events)).data for _ in range(3)] == data


# Tests of projects


def test_in_a_test_case_nothing_is_delivered_and_queries_are_counted_exactly(postgres_broker):
    class Inner(TestCase):
        databases = {"events"}

        @classmethod
        def setUpTestData(cls):
            publish("news", "data of the class")

        def test_publish(self):
            with self.assertNumQueries(1, using="events"):
                assert publish("news", 1) is None
            with self.captureOnCommitCallbacks(using="events", execute=True) as callbacks, atomic():
                publish("news", 2)
            assert callbacks == []
            connections["events"].check_constraints()
            with rolled_back():
                publish("news", 3)
            publish("news", 4)
            assert kept_elsewhere(postgres_broker) == []

        test_publish_again = test_publish

    before = current_event_id()
    result = unittest.TestResult()
    unittest.TestSuite([Inner("test_publish"), Inner("test_publish_again")]).run(result)
    assert result.testsRun == 2
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
    assert kept(postgres_broker) == []
    assert current_event_id() == before
