"""Live lists: a snapshot of the rows that a client may see, and their changes."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.core.asgi import get_asgi_application
from django.db import connection, transaction
from django.db.backends.signals import connection_created
from rest_framework.exceptions import PermissionDenied
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer

from adrf_sse.channels import announce, subscriber_counts
from adrf_sse.runtime.stream_threads import stream_threads
from adrf_sse.testing import EventStreamClient
from tests.docs.examples import examples
from tests.project.orders.models import ExpressOrder, LoudOrder, Order, Tag
from tests.project.orders.views import Orders, OrderSerializer, OwnOrders

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]
URLS = ["/orders/live/", "/async-orders/live/"]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.project.orders.views"
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]


def watch(url="/orders/live/", **kwargs):
    return EventStreamClient(get_asgi_application()).get(url, **kwargs)


@sync_to_async
def commit(function):
    """Call a function in a transaction."""
    with transaction.atomic():
        return function()


def read(event):
    return event.event, json.loads(event.data)


async def snapshot_of(stream):
    name, rows = read(await stream.next(timeout=20))
    assert name == "snapshot"
    return [row["item"] for row in rows]


async def changes(stream, count):
    return [read(event) for event in await stream.take(count, timeout=20)]


@pytest.mark.parametrize("url", URLS)
async def test_the_rows_come_first_and_then_their_changes(url):
    old = await Order.objects.acreate(item="old")
    async with watch(url) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert read(await stream.next(timeout=20)) == ("snapshot", [{"id": old.pk, "item": "old"}])
        new = await Order.objects.acreate(item="new")
        assert await changes(stream, 1) == [("created", {"id": new.pk, "item": "new"})]
        old.item = "older"
        await old.asave()
        assert await changes(stream, 1) == [("updated", {"id": old.pk, "item": "older"})]
        pk = new.pk
        await new.adelete()
        assert await changes(stream, 1) == [("deleted", {"pk": pk})]
    assert subscriber_counts() == {}


async def test_an_empty_list_is_an_empty_snapshot():
    async with watch() as stream:
        assert read(await stream.next(timeout=20)) == ("snapshot", [])


async def test_a_transaction_is_announced_when_it_commits():
    async with watch() as stream:
        await snapshot_of(stream)

        def rolled_back():
            Order.objects.create(item="never")
            transaction.set_rollback(True)

        def partly_rolled_back():
            Order.objects.create(item="first")
            try:
                with transaction.atomic():
                    Order.objects.create(item="undone")
                    raise LookupError
            except LookupError:
                Order.objects.create(item="last")

        await commit(rolled_back)
        await commit(partly_rolled_back)
        assert [data["item"] for _, data in await changes(stream, 2)] == ["first", "last"]


async def test_a_row_that_enters_or_leaves_what_the_client_may_see_is_created_or_deleted():
    order = await Order.objects.acreate(item="x", is_hidden=True)
    async with watch() as stream:
        assert await snapshot_of(stream) == []
        order.is_hidden = False
        await order.asave()
        assert (await changes(stream, 1))[0][0] == "created"
        order.is_hidden = True
        await order.asave()
        assert await changes(stream, 1) == [("deleted", {"pk": order.pk})]


async def test_a_change_that_the_client_can_not_see_is_not_sent():
    await Order.objects.acreate(item="seen")
    async with watch() as stream:
        await snapshot_of(stream)
        hidden = await Order.objects.acreate(item="hidden", is_hidden=True)
        await hidden.adelete()
        seen = await Order.objects.aget(item="seen")
        seen.user = await User.objects.acreate(username="ann")  # not in the serializer
        await seen.asave()
        await Order.objects.acreate(item="last")
        assert (await changes(stream, 1))[0][1]["item"] == "last"


async def test_bulk_operations_are_announced_by_a_call():
    async with watch() as stream:
        await snapshot_of(stream)

        def create():
            announce(Order.objects.bulk_create([Order(item="a"), Order(item="b")]))

        def update():
            Order.objects.filter(item="a").update(item="c")
            announce(Order.objects.filter(item="c"))

        await commit(create)
        assert [data["item"] for _, data in await changes(stream, 2)] == ["a", "b"]
        await commit(update)
        assert [(name, data["item"]) for name, data in await changes(stream, 1)] == [("updated", "c")]


async def test_the_changes_of_a_transaction_come_in_their_order():
    async with watch() as stream:
        await snapshot_of(stream)
        items = [str(number) for number in range(11)]  # the primary keys of some have more digits than those of others
        await commit(lambda: [Order.objects.create(pk=95 + int(item), item=item) for item in items])
        assert [data["item"] for _, data in await changes(stream, 11)] == items


async def test_a_queryset_that_is_deleted_announces_its_rows():
    await sync_to_async(Order.objects.bulk_create)([Order(item=str(number)) for number in range(3)])
    async with watch() as stream:
        assert len(await snapshot_of(stream)) == 3
        await Order.objects.all().adelete()
        assert {name for name, _ in await changes(stream, 3)} == {"deleted"}


async def test_rows_of_child_and_proxy_models_are_rows_of_the_list():
    async with watch() as stream:
        await snapshot_of(stream)
        await ExpressOrder.objects.acreate(item="express")
        await LoudOrder.objects.acreate(item="loud")
        assert [data["item"] for _, data in await changes(stream, 2)] == ["express", "loud"]


async def test_related_rows_are_announced_with_the_relation(monkeypatch):
    monkeypatch.setattr(OrderSerializer.Meta, "fields", ["id", "item", "tags"])
    order, tag = await Order.objects.acreate(item="x"), await Tag.objects.acreate(name="t")
    async with watch() as stream:
        await snapshot_of(stream)
        await order.tags.aadd(tag)
        assert await changes(stream, 1) == [("updated", {"id": order.pk, "item": "x", "tags": [tag.pk]})]
        await tag.orders.aremove(order)
        assert await changes(stream, 1) == [("updated", {"id": order.pk, "item": "x", "tags": []})]
        await order.tags.aset([tag])
        await changes(stream, 1)
        await tag.orders.aclear()
        assert await changes(stream, 1) == [("updated", {"id": order.pk, "item": "x", "tags": []})]


async def test_the_filters_of_the_list_hold():
    async with watch("/orders/live/?item=a") as stream:
        await snapshot_of(stream)
        await Order.objects.acreate(item="b")
        await Order.objects.acreate(item="a")
        assert (await changes(stream, 1))[0][1]["item"] == "a"


async def test_a_row_that_moves_to_another_user_is_deleted_for_one_and_created_for_the_other():
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    order = await Order.objects.acreate(item="x", user=ann)
    async with watch("/own-orders/live/", user=ann) as anns, watch("/own-orders/live/", user=bob) as bobs:
        assert (await snapshot_of(anns), await snapshot_of(bobs)) == (["x"], [])
        order.user = bob
        await order.asave()
        assert await changes(anns, 1) == [("deleted", {"pk": order.pk})]
        assert (await changes(bobs, 1))[0][0] == "created"


async def test_users_without_permission_get_no_list():
    async with watch("/own-orders/live/") as stream:
        assert stream.status_code == 403


async def test_clients_of_one_user_share_each_reading():
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(watch("/own-orders/live/", user=user)) for user in (ann, ann, ann, bob)
        ]
        for stream in streams:
            await snapshot_of(stream)
        counting, original = Counting(), OwnOrders.get_queryset
        try:
            OwnOrders.get_queryset = counting(original)
            order = await Order.objects.acreate(item="x", user=ann)
            for stream in streams[:3]:
                assert (await changes(stream, 1))[0][1]["id"] == order.pk
            assert counting.calls == 1
        finally:
            OwnOrders.get_queryset = original
    assert subscriber_counts() == {}


async def test_the_readings_of_a_list_share_a_connection_that_its_last_client_closes():
    opened = []

    def note(sender, connection, **kwargs):
        if threading.current_thread().name == "adrf_sse streams":
            opened.append(connection)

    connection_created.connect(note)
    try:
        async with watch() as first, watch() as second:
            for stream in (first, second):
                await snapshot_of(stream)
            for number in range(5):
                await Order.objects.acreate(item=str(number))
                for stream in (first, second):
                    await changes(stream, 1)
            assert 1 <= len(opened) <= 2  # each client has a reading of its own
        await asyncio.gather(*(asyncio.to_thread(stream_thread_is_idle, thread) for thread in stream_threads.threads))
        assert not any(connection.connection for connection in opened)
    finally:
        connection_created.disconnect(note)


def stream_thread_is_idle(thread):
    """Wait until a stream thread has done what was asked of it, and has no streams."""
    assert thread.streams == 0
    thread.submit(int).result(timeout=20)


class Counting:
    """Count the calls of a method."""

    def __init__(self):
        self.calls = 0

    def __call__(self, method):
        def counted(*args):
            self.calls += 1
            return method(*args)

        return counted


async def test_a_member_that_joins_later_has_what_it_missed_and_nothing_twice():
    ann = await User.objects.acreate(username="ann")
    async with watch("/own-orders/live/", user=ann) as first:
        await snapshot_of(first)
        for number in range(5):
            await Order.objects.acreate(item=str(number), user=ann)
        async with watch("/own-orders/live/", user=ann) as second:
            assert await snapshot_of(second) == ["0", "1", "2", "3", "4"]
            assert [data["item"] for _, data in await changes(first, 5)] == ["0", "1", "2", "3", "4"]
            # Without a signal and without an announcement; whoever joins afterwards finds it.
            await Order.objects.filter(item="0").aupdate(item="quiet")
            async with watch("/own-orders/live/", user=ann) as third:
                assert "quiet" in await snapshot_of(third)
                for stream in (first, second):
                    assert (await changes(stream, 1))[0][1]["item"] == "quiet"
                await Order.objects.acreate(item="last", user=ann)
                for stream in (first, second, third):
                    assert (await changes(stream, 1))[0][1]["item"] == "last"


async def test_an_error_in_the_viewset_is_an_http_error(monkeypatch):
    def refuse(self):
        raise PermissionDenied("No orders today.")

    monkeypatch.setattr(Orders, "get_queryset", refuse)
    async with watch() as stream:
        assert stream.status_code == 403
        assert await stream.json() == {"detail": "No orders today."}


async def test_an_error_while_rows_are_read_ends_the_stream_and_is_logged(monkeypatch, caplog):
    async with watch() as stream:
        await snapshot_of(stream)

        def fail(self):
            raise LookupError("secret")

        monkeypatch.setattr(Orders, "get_queryset", fail)
        await Order.objects.acreate(item="x")
        rest = [event async for event in stream]
    assert rest == []
    assert "Could not read the rows of adrf-sse.live:orders.order" in caplog.text


async def write(user, done):
    """Change the orders of a user many times."""
    orders = [await Order.objects.acreate(item="0", user=user) for _ in range(4)]
    for number in range(40):
        order = orders[number % len(orders)]
        order.item = f"{number}"
        order.is_hidden = number % 7 == 3
        if number % 11 == 10:
            await order.adelete()
            orders[number % len(orders)] = await Order.objects.acreate(item=f"{number}", user=user)
        else:
            await order.asave()
    done.set()
    # The clients look at ``done`` with each change, so there is one after it.
    orders[0].item, orders[0].is_hidden = "end", False
    await orders[0].asave()


async def follow(user, done):
    """Apply changes, until the rows are those of the database."""
    async with watch("/own-orders/live/", user=user) as stream:
        rows = {row["id"]: row for row in read(await stream.next(timeout=20))[1]}
        while not (done.is_set() and rows == await visible(user)):
            apply(rows, *read(await stream.next(timeout=20)))


async def visible(user):
    return {
        order.pk: {"id": order.pk, "item": order.item}
        async for order in Order.objects.filter(user=user, is_hidden=False)
    }


async def test_clients_and_writers_agree_in_the_end():
    """Clients that come and go while rows change receive nothing twice, and end with the rows of the database."""
    ann = await User.objects.acreate(username="ann")
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(follow(ann, done))
        group.create_task(write(ann, done))
        for _ in range(10):
            async with watch("/own-orders/live/", user=ann) as stream:
                await snapshot_of(stream)
    assert subscriber_counts() == {}


def apply(rows, name, data):
    """Apply a change to rows, as a client does. Nothing may come twice, and nothing may be missing before."""
    if name == "created":
        assert data["id"] not in rows
        rows[data["id"]] = data
    elif name == "updated":
        assert rows[data["id"]] != data
        rows[data["id"]] = data
    else:
        assert name == "deleted"
        del rows[data["pk"]]


async def test_a_model_without_a_live_list_can_not_be_announced():
    with pytest.raises(ValueError, match=r"announce\(\) must get rows of a model that has a live list"):
        await sync_to_async(announce)(User.objects.all())


def test_a_change_outside_of_a_live_list_costs_no_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        Group.objects.create(name="t")  # other tests have live lists of the models of the project


def test_the_partition_must_be_a_field():
    with pytest.raises(TypeError, match=r"live_by of Wrong must be a field of Order, got 'owner'\. Choose one of "):
        type("Wrong", (Orders,), {"live_by": "owner"})


@pytest.fixture
def live_page():
    """The examples of the page."""
    return examples("live.md", Order=Order, OrderSerializer=OrderSerializer, Product=Tag, ProductSerializer=Tags)


async def test_the_documented_live_list(settings, live_page):
    router = SimpleRouter()
    router.register("orders", live_page["OrderViewSet"])
    router.register("products", live_page["ProductViewSet"])
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": router.urls})
    async with watch() as stream, watch("/products/live/") as products:
        await snapshot_of(stream)
        await products.next(timeout=20)
        await sync_to_async(live_page["import_orders"])([Order(item="Jug")])
        assert (await changes(stream, 1))[0][0] == "created"
        order = await Order.objects.aget()
        await sync_to_async(live_page["pay_all"])([order.pk])
        await Order.objects.acreate(item="Cup")
        assert [data["item"] for _, data in await changes(stream, 1)] == ["Cup"], "the status is not in the serializer"
        await Tag.objects.acreate(name="t")
        assert (await changes(products, 1))[0][0] == "created"


async def test_the_documented_live_list_without_a_router(settings, live_page):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": live_page["urlpatterns"]})
    async with watch() as stream:
        assert await snapshot_of(stream) == []
        await Order.objects.acreate(item="Jug")
        assert (await changes(stream, 1))[0][0] == "created"


class Tags(ModelSerializer):
    class Meta:
        model = Tag
        fields = ["name"]


def test_the_connection_of_the_tests_is_in_autocommit_mode():
    assert connection.get_autocommit()
