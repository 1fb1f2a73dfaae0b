"""Tests of ``TicketAuthentication`` and ``TicketView``."""

import asyncio
import logging
from urllib.parse import quote

import pytest
from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core import signing
from django.core.cache import cache
from django.test import RequestFactory
from django.urls import path
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.authentication import TicketAuthentication, TicketView
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.signals import stream_closed
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import AsyncSSEAPIView

pytestmark = pytest.mark.django_db(transaction=True)


async def endless(request):
    yield str(request.user.pk)
    await asyncio.Event().wait()


class Protected:
    authentication_classes = [TicketAuthentication, TokenAuthentication]
    permission_classes = [IsAuthenticated]


class Mixin(Protected, AsyncSSEAPIView):
    async def get(self, request, **kwargs):
        return endless(request)

    async def post(self, request, **kwargs):
        return endless(request)


class Checked(Mixin):
    reauthorize_interval = 0.01


class Adrf(Protected, APIView):
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    async def get(self, request):
        return Response(endless(request))


class Drf(Protected, SyncAPIView):
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    def get(self, request):
        return Response(endless(request))


class Tickets(TicketView):
    authentication_classes = [TokenAuthentication]


@pytest.fixture(autouse=True)
def urls(settings):
    cache.clear()
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = type(
        "URLs",
        (),
        {
            "urlpatterns": [
                path("tickets/", Tickets.as_view()),
                path("mixin/", Mixin.as_view()),
                path("checked/", Checked.as_view()),
                path("adrf/", Adrf.as_view()),
                path("drf/", Drf.as_view()),
                path("named/<str:name>/", Mixin.as_view()),
            ]
        },
    )


@pytest.fixture
def alice(transactional_db):
    return User.objects.create_user("alice")


@pytest.fixture
def ticket_for(alice):
    """Request a ticket for a path, as a page does."""
    token = Token.objects.create(user=alice).key

    def ticket_for(path):
        response = APIClient(headers={"Authorization": f"Token {token}"}).post("/tickets/", {"path": path})
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.json()["expires_in"] == 30
        return response.json()["ticket"]

    return sync_to_async(ticket_for)


async def status(path, ticket, **options):
    async with EventStreamClient().get(path, {"ticket": ticket}, **options) as response:
        return response.status_code


@pytest.mark.parametrize("path", ["/mixin/", "/adrf/", "/drf/"])
async def test_a_ticket_opens_one_stream(ticket_for, alice, path):
    ticket = await ticket_for(path)
    async with EventStreamClient().get(path, {"ticket": ticket}) as stream:
        assert (await stream.next()).data == str(alice.pk)
        async with EventStreamClient().get(path, {"ticket": ticket}) as again:
            assert again.status_code == 401
            assert again.headers["WWW-Authenticate"] == "Ticket"
            assert "Request a new one" in (await again.json())["detail"]
    assert await status(path, ticket) == 401


async def test_of_many_requests_with_one_ticket_one_is_accepted(ticket_for):
    ticket = await ticket_for("/mixin/")
    statuses = await asyncio.gather(*(status("/mixin/", ticket) for _ in range(10)))
    assert sorted(statuses) == [200] + [401] * 9


async def test_a_ticket_is_for_one_path(ticket_for):
    assert await status("/adrf/", await ticket_for("/mixin/")) == 401
    assert await status("/mixin/", await ticket_for("/mixin")) == 401
    name = quote("ä b?/", safe="")
    assert await status(f"/named/{quote('ä b')}/", await ticket_for(f"/named/{quote('ä b')}/")) == 200
    assert await status(f"/named/{name}/", "x") in (401, 404)


@pytest.mark.parametrize("ticket", ["x", "a:b:c", "", "ü", "\x00"])
async def test_a_ticket_that_was_not_issued_is_refused(ticket):
    assert await status("/mixin/", ticket) == 401


@pytest.mark.parametrize(("salt", "contents"), [("other", ["1", "/mixin/", "x"]), (None, ["1"]), (None, "text")])
async def test_a_value_that_was_signed_for_something_else_is_refused(alice, salt, contents):
    ticket = signing.TimestampSigner(salt=salt or "adrf_sse.authentication.ticket").sign_object(contents)
    assert await status("/mixin/", ticket) == 401


async def test_a_ticket_expires(ticket_for, monkeypatch):
    ticket = await ticket_for("/mixin/")
    monkeypatch.setattr(TicketAuthentication, "lifetime", 0)
    assert await status("/mixin/", ticket) == 401


async def test_a_ticket_is_for_get_only(ticket_for):
    ticket = await ticket_for("/mixin/")
    async with EventStreamClient().post(f"/mixin/?ticket={ticket}") as response:
        assert response.status_code == 401
    assert await status("/mixin/", ticket) == 200


async def test_the_user_must_be_active(ticket_for, alice):
    ticket = await ticket_for("/mixin/")
    alice.is_active = False
    await alice.asave()
    assert await status("/mixin/", ticket) == 401
    await alice.adelete()


async def test_without_a_ticket_the_next_class_is_asked(alice):
    token = await Token.objects.acreate(user=alice)
    assert await status("/mixin/", "", headers={"Authorization": f"Token {token.key}"}) == 200


async def test_a_check_of_an_open_stream_does_not_need_the_ticket_again(ticket_for, alice, settings):
    checks, reasons = asyncio.Queue(), asyncio.Queue()
    loop = asyncio.get_running_loop()

    def closed(sender, reason, **kwargs):
        reasons.put_nowait(reason)

    original = Checked.reauthorize

    class Counted(Checked):
        def reauthorize(self, request):
            original(self, request)
            loop.call_soon_threadsafe(checks.put_nowait, request.user.pk)

    settings.ROOT_URLCONF.urlpatterns.append(path("counted/", Counted.as_view()))
    ticket = await ticket_for("/counted/")
    stream_closed.connect(closed)
    try:
        async with EventStreamClient().get("/counted/", {"ticket": ticket}) as stream:
            await stream.next()
            for _ in range(3):
                assert await checks.get() == alice.pk
            alice.is_active = False
            await alice.asave()
            with pytest.raises(StreamEnded):
                await stream.next(timeout=30)
    finally:
        stream_closed.disconnect(closed)
    assert await reasons.get() == "revoked"


async def test_no_record_of_the_package_or_of_django_contains_the_ticket(ticket_for, caplog):
    caplog.set_level(logging.DEBUG)
    ticket = await ticket_for("/mixin/")
    assert await status("/mixin/", ticket) == 200
    assert await status("/mixin/", ticket) == 401
    assert any(record.name == "django.request" for record in caplog.records)
    assert any(record.name == "adrf_sse" for record in caplog.records)
    assert not [record for record in caplog.records if ticket in record.getMessage() or ticket in str(record.args)]


@pytest.mark.parametrize(
    "data", [{}, {"path": 5}, {"path": "mixin/"}, {"path": "https://a/"}, {"path": "/a?b"}, {"path": "/" * 2001}, [1]]
)
def test_a_bad_path_is_refused(data, alice):
    client = APIClient()
    client.force_authenticate(alice)
    response = client.post("/tickets/", data, format="json")
    assert response.status_code == 400
    assert "without a query" in response.json()["path"][0]


def test_only_users_get_tickets(client):
    assert client.post("/tickets/", {"path": "/mixin/"}).status_code == 401


def test_a_user_whose_key_is_of_another_kind_is_refused():
    ticket = TicketAuthentication.issue(User(pk="no number"), "/")
    request = Request(RequestFactory().get("/", {"ticket": ticket}))
    request.user = AnonymousUser()
    with pytest.raises(AuthenticationFailed):
        TicketAuthentication().authenticate(request)
