"""Clients that leave at any moment while their subscription begins cause no error, and leave nothing open."""

import asyncio
import gc
import random

import pytest
from django.core.asgi import get_asgi_application
from django.core.signals import got_request_exception
from django.urls import path

from adrf_sse.channels import apublish, subscribe, subscriber_counts
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView

# Django leaves the request's body open if its response is not closed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

TOGETHER = 20


class DirectView(ChannelStreamView):
    def get_channels(self):
        return ["news", f"own.{self.request.GET['client']}"]


class GeneratorView(AsyncSSEAPIView):
    async def get(self, request):
        async with subscribe("news", f"own.{request.GET['client']}", last_event_id=self.last_event_id) as events:
            async for event in events:
                yield event


class Client:
    """Send a request, and leave after some turns of the event loop, or when the body begins."""

    def __init__(self, number, url, last_id, turns, *, fails):
        headers = [(b"last-event-id", str(last_id).encode())] if last_id else []
        query = b"client=%d" % number
        self.scope = {"type": "http", "method": "GET", "path": url, "query_string": query, "headers": headers}
        self.has_left = False
        self._begun = asyncio.Event()
        self._turns = turns
        self._fails = fails  # whether sending fails from then on, as in some servers
        self._requested = False

    async def receive(self):
        if not self._requested:
            self._requested = True
            return {"type": "http.request"}
        for _ in range(self._turns or 0):
            await asyncio.sleep(0)
        if self._turns is None:
            await self._begun.wait()
        self.has_left = True
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.has_left and self._fails:
            raise OSError("The client has left.")
        if message.get("body"):
            self._begun.set()


@pytest.fixture
def signals():
    """The signals that were sent."""
    sent = []

    def receiver(signal, **kwargs):
        sent.append(signal)

    signals = (got_request_exception, stream_opened, stream_closed)
    for signal in signals:
        signal.connect(receiver)
    yield sent
    for signal in signals:
        signal.disconnect(receiver)
    gc.collect()


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("count", [150, pytest.param(500, marks=pytest.mark.slow)])
async def test_clients_that_leave_early_cause_no_error_and_leave_nothing_open(settings, signals, caplog, count):
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = type(
        "URLs", (), {"urlpatterns": [path("direct", DirectView.as_view()), path("generator", GeneratorView.as_view())]}
    )
    application = get_asgi_application()
    numbers = [await apublish("news", {"n": n}) for n in range(250)]
    choose = random.Random()
    clients = []
    for number in range(count):
        url = choose.choice(["/direct", "/generator"])
        last_id = choose.choice([None, numbers[0], numbers[-2], numbers[-1] + 10**12])
        turns = int(choose.expovariate(1 / 40))
        if number % 5 == 0:
            last_id, turns = numbers[0], None
        clients.append(Client(number, url, last_id, turns, fails=choose.random() < 0.3))
    waiting = iter(clients)

    async def visit():
        for client in waiting:
            try:
                await application(client.scope, client.receive, client.send)
            except OSError:
                assert client.has_left

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(visit())
    while asyncio.all_tasks() != {asyncio.current_task()}:
        await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert got_request_exception not in signals
    assert signals.count(stream_opened) == signals.count(stream_closed) >= count / 5
    assert subscriber_counts() == {}
