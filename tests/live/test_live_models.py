"""Live lists of models and querysets of every kind."""

import json
import uuid
from importlib.metadata import version

import pytest
from adrf.viewsets import ModelViewSet as AsyncModelViewSet
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core import serializers
from django.db import models
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.db.models.signals import post_save
from django.test.utils import isolate_apps
from rest_framework.authentication import BaseAuthentication
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from adrf_sse.channels import announce, announcements
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import LiveModelMixin
from adrf_sse.views.live import _warn_without_app
from tests.live.test_live_lists import changes, commit, watch
from tests.project.orders.models import ExpressOrder, LoudOrder, Order, Parcel, Seal
from tests.project.orders.views import AsyncOrderSerializer, Orders, OwnOrders

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


@pytest.fixture
def route(settings):
    """Return the URL of the live list of a viewset."""
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]

    def route(viewset):
        router = SimpleRouter()
        router.register("rows", viewset, basename="rows")
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": router.urls})
        return "/rows/live/"

    return route


def viewset_of(model, *fields, base=ModelViewSet, **attributes):
    """Return a viewset with a live list of all rows of a model."""
    meta = type("Meta", (), {"model": model, "fields": fields})
    serializer = type("Serializer", (ModelSerializer,), {"Meta": meta})
    rows = {"queryset": model.objects.order_by("pk"), "serializer_class": serializer, **attributes}
    return type("Rows", (LiveModelMixin, base), rows)


async def first(stream):
    return json.loads((await stream.next(timeout=20)).data)


async def test_a_list_of_a_proxy_model_changes(route):
    async with watch(route(viewset_of(LoudOrder, "item"))) as stream:
        await first(stream)
        await Order.objects.acreate(item="x")
        assert await changes(stream, 1) == [("created", {"item": "x"})]


async def test_a_row_with_deferred_fields_can_be_deleted(route):
    user = await User.objects.acreate(username="ann")
    orders = [await Order.objects.acreate(item="x", user=user) for _ in range(2)]
    async with watch(route(OwnOrders), user=user) as stream:
        await first(stream)
        await (await Order.objects.only("id").aget(pk=orders[0].pk)).adelete()
        assert await changes(stream, 1) == [("deleted", {"pk": orders[0].pk})]
        await Order.objects.defer("user").adelete()
        assert await changes(stream, 1) == [("deleted", {"pk": orders[1].pk})]


async def test_rows_that_exchange_their_lookup_values_are_deleted_before_they_are_created(route):
    one, two = [await Parcel.objects.acreate(slug=slug) for slug in ("one", "two")]
    async with watch(route(viewset_of(Parcel, "id", "slug", lookup_field="slug"))) as stream:
        await first(stream)

        def exchange():
            one.slug, two.slug = "two", "one"
            one.save()
            two.save()

        await commit(exchange)
        names = [(name, data["slug"]) for name, data in await changes(stream, 4)]
        assert {*names[:2]} == {("deleted", "one"), ("deleted", "two")}
        assert {*names[2:]} == {("created", "one"), ("created", "two")}


async def test_a_primary_key_may_be_assigned_in_another_notation(route):
    async with watch(route(viewset_of(Parcel, "slug"))) as stream:
        await first(stream)
        await Parcel.objects.acreate(pk=uuid.uuid4().hex.upper(), slug="x")
        assert await changes(stream, 1) == [("created", {"slug": "x"})]


async def test_a_one_to_one_primary_key(route):
    parcel = await Parcel.objects.acreate(slug="x")
    async with watch(route(viewset_of(Seal, "text", lookup_field="parcel"))) as stream:
        await first(stream)
        seal = await Seal.objects.acreate(parcel=parcel, text="t")
        assert await changes(stream, 1) == [("created", {"text": "t"})]
        await seal.adelete()
        assert await changes(stream, 1) == [("deleted", {"parcel": str(parcel.pk)})]


async def test_a_lookup_field_of_a_related_row(route):
    user = await User.objects.acreate(username="ann")
    order = await Order.objects.acreate(item="x", user=user)
    async with watch(route(viewset_of(Order, "item", lookup_field="user__username"))) as stream:
        await first(stream)
        await order.adelete()
        assert await changes(stream, 1) == [("deleted", {"user__username": "ann"})]


async def test_instances_without_a_primary_key_announce_all_rows(route):
    async with watch(route(Orders)) as stream:
        await first(stream)

        def create():
            created = Order.objects.bulk_create([Order(item="x")], ignore_conflicts=True)
            assert created[0].pk is None
            announce(created)

        await commit(create)
        assert (await changes(stream, 1))[0][1]["item"] == "x"


async def test_fixtures_of_inheriting_models_are_announced(route):
    order = await ExpressOrder.objects.acreate(item="x", courier="a")
    fixture = await sync_to_async(serializers.serialize)("json", [order])

    class Serializer(ModelSerializer):
        class Meta:
            model = Order
            fields = ["item"]

    def courier(self, instance):
        return {"courier": ExpressOrder.objects.get(pk=instance.pk).courier}

    Serializer.to_representation = courier
    async with watch(route(viewset_of(Order, "item", serializer_class=Serializer))) as stream:
        assert await first(stream) == [{"courier": "a"}]

        def load():
            for row in serializers.deserialize("json", fixture.replace('"a"', '"b"')):
                row.save()

        await commit(load)
        assert await changes(stream, 1) == [("updated", {"courier": "b"})]


async def test_a_many_to_many_relation_that_the_other_model_declares(route):
    order, parcel = await Order.objects.acreate(item="x"), await Parcel.objects.acreate(slug="p")
    async with watch(route(viewset_of(Order, "item", "parcels"))) as stream:
        await first(stream)
        await parcel.orders.aadd(order)
        assert await changes(stream, 1) == [("updated", {"item": "x", "parcels": [str(parcel.pk)]})]


async def test_a_row_that_moves_and_is_saved_by_a_receiver_leaves_its_former_partition(route):
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    order = await Order.objects.acreate(item="x", user=ann)

    def save_again(instance, **kwargs):
        if instance.status != "checked":
            instance.status = "checked"
            instance.save()

    route(OwnOrders)
    receivers, post_save.receivers = post_save.receivers, []
    post_save.connect(save_again, sender=Order)
    post_save.receivers += receivers
    post_save.sender_receivers_cache.clear()
    try:
        async with watch("/rows/live/", user=ann) as stream:
            await first(stream)
            order.user = bob
            await order.asave()
            assert await changes(stream, 1) == [("deleted", {"pk": order.pk})]
    finally:
        post_save.disconnect(save_again, sender=Order)


async def test_an_expression_may_set_the_partition(route):
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    order = await Order.objects.acreate(item="x", user=ann)
    async with watch(route(OwnOrders), user=bob) as stream:
        await first(stream)
        order.user_id = F("user_id") + (bob.pk - ann.pk)
        await order.asave()
        assert (await changes(stream, 1))[0][0] == "created"


async def test_a_row_that_is_deleted_is_deleted_where_the_database_had_it(route):
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    order = await Order.objects.acreate(item="x", user=ann)
    async with watch(route(OwnOrders), user=ann) as stream:
        await first(stream)
        order.user = bob  # not saved
        pk = order.pk
        await order.adelete()
        assert await changes(stream, 1) == [("deleted", {"pk": pk})]


async def test_a_partition_by_another_field_of_the_user(route):
    ann = await User.objects.acreate(username="ann")
    async with watch(route(viewset_of(Parcel, "slug", live_by="sender")), user=ann) as stream:
        await first(stream)
        await Parcel.objects.acreate(slug="x", sender=ann)
        assert await changes(stream, 1) == [("created", {"slug": "x"})]


@pytest.mark.parametrize(
    "queryset",
    [
        Order.objects.filter(item="a").union(Order.objects.filter(item="b")),
        Order.objects.annotate(number=Window(RowNumber(), order_by="-id")).filter(number=1),
        Order.objects.order_by("-id")[:1],
    ],
    ids=["union", "window", "slice"],
)
async def test_querysets_that_a_filter_would_change_are_read_as_a_whole(route, queryset):
    old = await Order.objects.acreate(item="a")
    await Order.objects.acreate(item="b")
    viewset = viewset_of(Order, "item", queryset=queryset)
    async with watch(route(viewset)) as stream:
        rows = await first(stream)
        old.status = "paid"
        await old.asave()
        new = await Order.objects.acreate(item="b")
        events = await changes(stream, 1 if len(rows) == 2 else 2)
        assert ("created", {"item": new.item}) in events
        assert ("created", {"item": "a"}) not in events


class Cookies(BaseAuthentication):
    """Authenticate users of several kinds."""

    def authenticate(self, request):
        kind, cookie = request.headers["Authorization"].split()
        return {"visitor": Visitor, "buyer": Buyer, "seller": Seller}[kind](cookie), None


class Visitor:
    """A user who is not in the database, and has a cookie only."""

    is_authenticated = True

    def __init__(self, cookie):
        self.cookie = cookie


class Buyer(Visitor):
    """A user of another table, who has a primary key there."""

    pk = 1


class Seller(Visitor):
    pk = 1


@pytest.mark.parametrize(("one", "other"), [("visitor a", "visitor b"), ("buyer a", "seller b")])
async def test_users_who_are_not_the_same_share_no_rows(route, one, other):
    def get_queryset(self):
        return Order.objects.filter(item__startswith=self.request.user.cookie)

    seen = {"live_by": "user", "get_queryset": get_queryset, "authentication_classes": [Cookies]}
    url = route(viewset_of(Order, "item", **seen))
    async with (
        watch(url, headers={"Authorization": one}) as stream,
        watch(url, headers={"Authorization": other}) as other_stream,
    ):
        assert (await first(stream), await first(other_stream)) == ([], [])

        seller = await User.objects.acreate(pk=1, username="ann") if "seller" in other else None
        for item in ("a1", "b1", "a2"):
            await Order.objects.acreate(item=item, user=seller)
        assert [data["item"] for _, data in await changes(other_stream, 1)] == ["b1"]
        assert [data["item"] for _, data in await changes(stream, 2)] == ["a1", "a2"]


@pytest.mark.skipif(not hasattr(models, "CompositePrimaryKey"), reason="Django 5.2 has composite primary keys")
@isolate_apps("tests.project.orders")
def test_a_composite_primary_key_is_refused():
    class Line(models.Model):
        pk = models.CompositePrimaryKey("order_id", "number")
        order_id = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "orders"

    with pytest.raises(
        TypeError, match="Rows must have a model whose primary key is one field, got Line with order_id"
    ):
        viewset_of(Line, "number")


class OneItem:
    """An asynchronous filter backend."""

    async def filter_queryset(self, request, queryset, view):
        await Order.objects.acount()
        return queryset.filter(item="a")


class AsyncSerializer(AsyncOrderSerializer):
    async def ato_representation(self, instance):
        return {"item": instance.item, "orders": await Order.objects.acount()}


ADRF_VERSION = tuple(map(int, version("adrf").split(".")))


@pytest.mark.skipif(ADRF_VERSION < (0, 1, 12), reason="adrf awaits filters since version 0.1.12.")
async def test_the_asynchronous_filters_and_serializers_of_adrf_apply(route):
    seen = {"filter_backends": [OneItem], "serializer_class": AsyncSerializer}
    async with watch(route(viewset_of(Order, "item", base=AsyncModelViewSet, **seen))) as stream:
        assert await first(stream) == []
        for item in ("b", "a"):
            await Order.objects.acreate(item=item)
        assert await changes(stream, 1) == [("created", {"item": "a", "orders": 2})]


async def test_an_overridden_afilter_queryset_applies(route):
    async def only_new(self, queryset):
        return queryset.filter(status="new")

    rows = viewset_of(Order, "item", base=AsyncModelViewSet, afilter_queryset=only_new)
    async with watch(route(rows)) as stream:
        assert await first(stream) == []
        for item, status in (("b", "paid"), ("a", "new")):
            await Order.objects.acreate(item=item, status=status)
        assert await changes(stream, 1) == [("created", {"item": "a"})]


@pytest.mark.django_db(transaction=False)
def test_a_synchronous_test_reads_the_changes_of_its_transaction(route, django_capture_on_commit_callbacks):
    order = Order.objects.create(item="old")
    with EventStreamClient().get(route(Orders)) as stream:
        assert "old" in stream.next(timeout=20).data
        with django_capture_on_commit_callbacks(execute=True):
            Order.objects.create(item="new")
        event = stream.next(timeout=20)
        assert (event.event, json.loads(event.data)["item"]) == ("created", "new")
        with django_capture_on_commit_callbacks(execute=True):
            order.delete()
        assert stream.next(timeout=20).event == "deleted"


class Replicas:
    """Read from a replica."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


def test_rows_that_were_read_from_a_replica_are_announced_when_the_primary_commits(settings, monkeypatch):
    announced = []
    monkeypatch.setattr(announcements, "_add", lambda using, changes: announced.append(using))
    order = Order.objects.create(item="x")
    announced.clear()
    order._state.db = "replica"
    settings.DATABASE_ROUTERS = [f"{__name__}.Replicas"]
    announce(order)
    announce(Order.objects.all())
    assert announced == ["default", "default"]


async def test_a_partition_that_is_not_hashable_is_refused(route, caplog):
    viewset = viewset_of(Order, "id", get_live_partition=lambda self: ["everybody"])
    async with watch(route(viewset)) as stream:
        assert stream.status_code == 500
    assert "get_live_partition() of Rows must return a hashable value, got ['everybody']." in caplog.text


async def test_a_project_without_the_app_gets_one_warning(route, settings, caplog):
    url = route(viewset_of(Order, "id"))
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "adrf_sse"]
    _warn_without_app.cache_clear()
    for _ in range(2):
        async with watch(url) as stream:
            assert (await stream.next(timeout=20)).event == "snapshot"
    assert caplog.text.count("Live lists need 'adrf_sse' in INSTALLED_APPS") == 1
    _warn_without_app.cache_clear()
