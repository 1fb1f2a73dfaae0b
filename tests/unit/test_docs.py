"""Tests of the examples in the documentation."""

import logging
import re
import sys
from asyncio import run
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db.models.signals import post_save
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient
from uvicorn.logging import AccessFormatter

from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.settings import validated
from adrf_sse.testing import StreamEnded

SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
DOCS = Path(__file__).resolve().parents[2] / "docs"


class NameSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        fields = ["name"]


async def present_state() -> dict[str, int]:
    return {"orders": 3}


def examples(document: str, namespace: dict[str, Any] | None = None, **names: Any) -> dict[str, Any]:
    """Run the Python examples of a document in order, and return the names that they define."""
    found = {} if namespace is None else namespace
    found.update(names)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / document).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    found["__name__"] = document
    for block in blocks:
        exec(block, found)
    return found


@pytest.fixture
def documented(settings: Any) -> Iterator[dict[str, Any]]:
    """Run the examples of channels. A group stands in for an order, because it has users and a name."""
    found = examples("channels.md", Order=Group, OrderSerializer=NameSerializer, present_state=present_state)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": found["urlpatterns"]})
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    yield found
    post_save.disconnect(found["announce"], sender=Group)


async def test_a_channel_is_streamed(documented, event_stream_client):
    async with event_stream_client.get("/orders/42/events/") as stream:
        documented["pay"](Group(pk=42))
        _, event = await stream.take(2)
    assert (event.event, event.data) == ("order", '{"status":"paid"}')


@pytest.mark.django_db(transaction=True)
def test_an_order_that_is_saved_in_a_transaction_is_published(documented):
    order = Group.objects.create(name="Tea pot")
    before = publish("news", "before")
    documented["ship"](order)
    event = run(first_event(f"orders.{order.pk}", before))
    assert (event.event, event.data) == ("order", {"status": "shipped"})


@pytest.mark.django_db(transaction=True)
def test_a_saved_order_is_announced(documented):
    before = publish("news", "before")
    order = Group.objects.create(name="Tea pot")
    event = run(first_event(f"orders.{order.pk}", before))
    assert (event.event, event.data) == ("order", {"name": "Tea pot"})


async def first_event(channel: str, after: int) -> Any:
    async with subscribe(channel, last_event_id=after) as events:
        return await anext(events)


@pytest.mark.django_db(transaction=True)
async def test_a_user_who_does_not_own_the_order_is_refused(documented, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")

    class Stream(documented["MyOrderStream"]):
        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 403
    await order.user_set.aadd(alice)
    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 200
    async with visit(Stream.as_view()) as stream:
        assert stream.status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_the_stream_ends_when_the_user_no_longer_owns_the_order(documented, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")
    await order.user_set.aadd(alice)

    class Stream(documented["MyOrderStream"]):
        reauthorize_interval = 0.01

        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS, served=True) as stream:
        assert stream.status_code == 200
        await order.user_set.aremove(alice)
        with pytest.raises(StreamEnded):
            await stream.take(2, timeout=30)


@pytest.mark.django_db(transaction=True)
async def test_a_member_who_is_removed_is_disconnected_and_then_refused(documented, visit):
    order, alice = await Group.objects.acreate(name="Tea pot"), await User.objects.acreate(username="alice")
    await order.user_set.aadd(alice)

    class Stream(documented["MyOrderStream"]):
        def get_channels(self):
            return [f"orders.{order.pk}"]

    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS, served=True) as stream:
        assert (await stream.next()).event == "ready"
        await sync_to_async(documented["remove_member"])(order, alice)
        with pytest.raises(StreamEnded):
            await stream.next(timeout=30)
    async with visit(Stream.as_view(), user=alice, middleware=SESSIONS) as stream:
        assert stream.status_code == 403


async def test_a_dashboard_sends_its_state_first_and_again_after_a_reset(documented, visit):
    view = documented["Dashboard"].as_view()
    async with visit(view) as stream:
        await apublish("news", "x")
        state, news = await stream.take(2)
        assert (state.event, state.data, news.data) == ("state", '{"orders":3}', "x")
    await apublish("news", "y")
    async with visit(view, headers={"Last-Event-ID": news.id}) as stream:
        assert (await stream.next()).data == "y"
    async with visit(view, headers={"Last-Event-ID": "5"}) as stream:
        state, *news = await stream.take(3)
        assert (state.event, [event.data for event in news]) == ("state", ["x", "y"])
        assert int(state.id) < int(news[0].id)


async def test_a_plain_view_streams_a_channel(documented, visit):
    first = await apublish("news", "x")
    await apublish("news", "y")
    async with visit(documented["news"], url=f"/?last_event_id={first}") as stream:
        assert (await stream.next()).data == "y"


async def test_last_event_id_zero_requests_the_whole_history(documented, visit):
    await apublish("news", "x")
    async with visit(documented["news"], url="/?last_event_id=0") as stream:
        assert [event.event or event.data for event in await stream.take(2)] == ["reset", "x"]


def test_the_documented_settings_are_valid(documented):
    assert validated(documented["ADRF_SSE"])[1] == []


def test_the_documented_broker_counts_events(documented):
    broker = documented["CountingBroker"](start=5)
    assert broker.publish("news", b"tx")
    assert broker.published == 6


# Testing


@pytest.fixture
def tests(documented, settings, monkeypatch) -> dict[str, Any]:
    orders = settings.ROOT_URLCONF.urlpatterns
    mysite = ModuleType("mysite.views")  # all examples of the page run in it
    monkeypatch.setitem(sys.modules, "mysite", mysite)
    monkeypatch.setitem(sys.modules, "mysite.views", mysite)
    found = examples("testing.md", vars(mysite), Order=Group)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [*found["urlpatterns"], *orders]})
    settings.MIDDLEWARE = SESSIONS
    return found


def test_the_documented_test_of_a_stream_passes(tests, event_stream_client, db):
    tests["test_members_need_a_login"](event_stream_client)
    user = User.objects.create_user("alice")
    tests["test_members_are_streamed"](event_stream_client, user)
    tests["test_a_request"](event_stream_client, user)


@pytest.mark.django_db(transaction=True)
async def test_the_documented_asynchronous_test_passes(tests, event_stream_client):
    await tests["test_members_are_streamed_asynchronously"](event_stream_client)


def test_the_documented_test_case_passes(tests, db):
    case = tests["MembersTest"]
    case.user = User.objects.create_user("alice")
    case().test_members_are_streamed()


def test_the_documented_test_of_a_channel_passes(tests, event_stream_client):
    tests["test_an_order_is_streamed"](event_stream_client)


def test_the_documented_test_of_an_announcement_passes(
    tests, event_stream_client, db, django_capture_on_commit_callbacks
):
    tests["test_a_saved_order_is_announced"](event_stream_client, None, django_capture_on_commit_callbacks)


# Limits


async def test_the_documented_limits(visit, settings):
    found = examples("limits.md")
    assert validated(found["ADRF_SSE"])[1] == []
    assert found["ExportThrottle"]().scope == "exports"
    async with visit(found["News"].as_view()) as stream:
        assert stream.status_code == 200


# Other origins


@pytest.mark.django_db(transaction=True)
def test_the_documented_ticket_opens_a_stream(settings, event_stream_client):
    found = examples("cross-origin.md")
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": found["urlpatterns"]})
    user = User.objects.create_user("alice")
    token = Token.objects.create(user=user).key
    client = APIClient(headers={"Authorization": f"Token {token}"})
    ticket = client.post("/tickets/", {"path": "/orders/events/"}).json()["ticket"]
    with event_stream_client.get("/orders/events/", {"ticket": ticket, "last_event_id": ""}) as stream:
        assert stream.status_code == 200


def test_the_documented_filter_removes_the_query_from_uvicorns_access_log():
    found = examples("cross-origin.md")
    assert found["LOGGING"]["filters"]["without_query"]["()"] is found["WithoutQuery"]
    arguments = ("1.2.3.4:5", "GET", "/a/?ticket=b", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert found["WithoutQuery"]().filter(record)
    assert AccessFormatter("%(request_line)s", use_colors=False).format(record) == "GET /a/ HTTP/1.1"
