"""Live lists of models in the database of the PostgreSQL broker: announcements are part of the transaction."""

import logging

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import transaction

from adrf_sse.brokers import get_broker
from adrf_sse.channels import announce
from adrf_sse.channels.live_models import fields_of
from adrf_sse.exceptions import BrokerUnavailable
from tests.live.test_live_lists import changes, snapshot_of, watch
from tests.project.orders.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


class Router:
    """Everything is in the database of the broker."""

    def db_for_read(self, model, **hints):
        return "events"

    db_for_write = db_for_read


@pytest.fixture
def postgres(postgres_broker, settings):
    """A server with empty tables of the project, in the database of the broker."""
    if not postgres_broker.execute("SELECT FROM pg_tables WHERE tablename = 'orders_order'"):
        for run_syncdb in (False, True):  # the orders have no migrations, and refer to users, who have
            call_command("migrate", database="events", run_syncdb=run_syncdb, verbosity=0)
    postgres_broker.execute("TRUNCATE orders_order, auth_user CASCADE")
    settings.DATABASE_ROUTERS = [Router()]
    settings.ROOT_URLCONF = "tests.project.orders.views"
    return postgres_broker


@pytest.fixture
def publishing_fails(postgres):
    """Let the next publishing fail, in transactions and outside of them."""
    postgres.execute("ALTER TABLE adrf_sse_staged RENAME TO gone_staged; ALTER TABLE adrf_sse_event RENAME TO gone")
    yield
    postgres.execute("ALTER TABLE gone_staged RENAME TO adrf_sse_staged; ALTER TABLE gone RENAME TO adrf_sse_event")


def announcements(server):
    """Return how many announcements were published."""
    return server.execute("SELECT count(*) FROM adrf_sse_event")[0][0]


def in_transaction(function):
    with transaction.atomic(using="events"):
        return function()


def items():
    return sorted(Order.objects.values_list("item", flat=True))


async def test_a_transaction_is_announced_when_it_commits_without_what_was_rolled_back(postgres):
    async with watch() as stream:
        assert await snapshot_of(stream) == []

        def rolled_back():
            Order.objects.create(item="never")
            transaction.set_rollback(True, using="events")

        def partly_rolled_back():
            Order.objects.create(item="first")
            with transaction.atomic(using="events"):
                Order.objects.create(item="undone")
                transaction.set_rollback(True, using="events")
            Order.objects.create(item="last")
            assert announcements(postgres) == 0

        await sync_to_async(in_transaction)(rolled_back)
        await sync_to_async(in_transaction)(partly_rolled_back)
        assert [data["item"] for _, data in await changes(stream, 2)] == ["first", "last"]
    assert announcements(postgres) == 2 * len(fields_of(Order)), "one for each channel"


async def test_a_change_outside_of_a_transaction_is_announced(postgres):
    async with watch() as stream:
        await snapshot_of(stream)
        await Order.objects.acreate(item="x")
        assert (await changes(stream, 1))[0][1]["item"] == "x"


def test_nothing_is_saved_in_a_transaction_that_can_not_announce(publishing_fails):
    def save():
        Order.objects.create(item="x")
        pytest.fail("the order was saved")

    with pytest.raises(BrokerUnavailable, match="must store the event"):
        in_transaction(save)
    assert items() == []


def test_what_is_saved_outside_of_a_transaction_stays_saved_if_it_can_not_be_announced(publishing_fails, caplog):
    Order.objects.create(item="x")
    assert items() == ["x"]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("Could not announce rows that were saved to live lists")


def test_a_queryset_is_announced_with_as_few_events_as_its_keys_fit_in(postgres):
    def create():
        Order.objects.bulk_create(Order(item=str(number)) for number in range(501))
        announce(Order.objects.all())

    in_transaction(create)
    assert announcements(postgres) == 2 * len(fields_of(Order)), "one for each channel"


def test_the_broker_joins_only_the_transactions_of_its_database(postgres):
    assert get_broker().joins_transaction("events")
    assert not get_broker().joins_transaction("default")
