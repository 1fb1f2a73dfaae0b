"""The example's chat and orders as a server sends them: over memory, and over Redis from two workers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from adrf_sse.events import ServerSentEvent
from adrf_sse.testing import EventParser
from tests.support.example import RUNSERVER, TWO_WORKERS, log_in, manage, serve_example
from tests.support.redis_server import redis_server
from tests.support.servers import Server

pytestmark = pytest.mark.server

NOBODY = "redis://127.0.0.1:1/0"
"""The URL of a Redis that is away."""


@dataclass
class Site:
    """The example, running."""

    client: httpx.Client
    database: Path
    redis_url: str = ""

    def shell(self, code: str) -> None:
        """Run code in another process of the project."""
        manage("shell", "-c", code, database=self.database, redis_url=self.redis_url)

    def say(self, room: str, text: str, author: str = "Ada") -> httpx.Response:
        return self.client.post(f"/chat/{room}/messages/", json={"author": author, "text": text})

    def texts(self, room: str) -> list[str]:
        return [message["text"] for message in self.client.get(f"/chat/{room}/messages/").json()]

    @contextmanager
    def listening(self, url: str, **headers: str) -> Iterator[Iterator[ServerSentEvent]]:
        """Open a stream, and give its events."""
        with self.client.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200
            yield events_of(response)


def events_of(response: httpx.Response) -> Iterator[ServerSentEvent]:
    parser = EventParser()
    for chunk in response.iter_raw():
        yield from parser.feed(chunk)


@contextmanager
def site_of(server: Server, database: Path, redis_url: str = "") -> Iterator[Site]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield Site(client, database, redis_url)
    print(server.described())  # pytest shows it where the test failed


@pytest.fixture(scope="module")
def two_workers(example_database: Path) -> Iterator[tuple[Server, str]]:
    with (
        redis_server() as redis,
        serve_example(example_database, command=TWO_WORKERS, redis_url=redis.url) as server,
    ):
        yield server, redis.url


@pytest.fixture
def over_memory(quick_server: Server, example_database: Path) -> Iterator[Site]:
    with site_of(quick_server, example_database) as site:
        yield site


@pytest.fixture
def over_redis(two_workers: tuple[Server, str], example_database: Path) -> Iterator[Site]:
    server, redis_url = two_workers
    with site_of(server, example_database, redis_url) as site:
        yield site


@pytest.fixture(params=["over_memory", "over_redis"])
def site(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# Chat


def test_a_message_reaches_those_in_the_room_and_no_others(site: Site) -> None:
    with site.listening("/chat/tea/events/") as tea, site.listening("/chat/coffee/events/") as coffee:
        posted = site.say("tea", "Is it ready?")
        assert posted.status_code == 201
        site.say("coffee", "Another cup, please")
        event = next(tea)
        assert (event.event, event.data) == (None, posted.text)
        assert "Another cup" in next(coffee).data


def test_who_comes_back_gets_what_was_said_meanwhile(site: Site) -> None:
    with site.listening("/chat/back/events/") as events:
        site.say("back", "one")
        last = next(events)
    site.say("back", "two")
    with site.listening("/chat/back/events/", **{"Last-Event-ID": str(last.id)}) as events:
        site.say("back", "three")
        assert [re.search(r'"text":"(\w+)"', next(events).data)[1] for _ in range(2)] == ["two", "three"]


def test_the_last_messages_are_there_the_newest_first(over_memory: Site) -> None:
    for number in range(52):
        over_memory.say("full", str(number))
    assert over_memory.texts("full") == [str(number) for number in range(51, 1, -1)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"author": "Ada", "text": " "}, {"text": ["This field may not be blank."]}),
        ({"author": "Ada", "text": "x" * 501}, {"text": ["Ensure this field has no more than 500 characters."]}),
        ({"author": "x" * 31, "text": "Hi"}, {"author": ["Ensure this field has no more than 30 characters."]}),
        ({"text": "a\0b"}, {"author": ["This field is required."], "text": ["Null characters are not allowed."]}),
    ],
)
def test_what_is_no_message_is_refused_and_not_published(
    over_memory: Site, data: dict[str, str], problem: dict[str, list[str]]
) -> None:
    with over_memory.listening("/chat/strict/events/") as events:
        refusal = over_memory.client.post("/chat/strict/messages/", json=data)
        assert (refusal.status_code, refusal.json()) == (400, problem)
        said = over_memory.say("strict", "Hello")
        assert next(events).data == said.text


@pytest.mark.parametrize("room", ["x" * 41, "caf%C3%A9", "a.b", "a%20b"])
def test_what_is_no_name_of_a_room_is_a_404(over_memory: Site, room: str) -> None:
    for page in ("", "messages/", "events/"):
        assert over_memory.client.get(f"/chat/{room}/{page}").status_code == 404


def test_what_is_said_while_redis_is_away_is_kept(example_database: Path) -> None:
    with (
        serve_example(example_database, redis_url=NOBODY) as server,
        site_of(server, example_database, NOBODY) as site,
    ):
        assert site.say("alone", "Anybody here?").status_code == 201
        assert site.texts("alone") == ["Anybody here?"]
    assert "BrokerUnavailable: Redis at 127.0.0.1:1 must store the event" in server.output


# Orders


def test_an_order_is_announced_when_it_is_made_changed_and_removed(site: Site) -> None:
    with site.listening("/orders/events/") as events:
        order = site.client.post("/orders/api/", json={"item": "Tea pot", "quantity": 2}).json()
        made = next(events)
        url = f"/orders/api/{order['id']}/"
        with site.listening(f"/orders/{order['id']}/events/") as its_own:
            site.client.patch(url, json={"status": "paid"})
            site.client.delete(url)
            changed, removed = next(events), next(events)
            assert [(event.event, event.data) for event in (changed, removed)] == [
                (event.event, event.data) for event in (next(its_own), next(its_own))
            ]
    number = order["id"]
    assert [(event.event, event.data) for event in (made, changed, removed)] == [
        ("order", f'{{"id":{number},"item":"Tea pot","quantity":2,"status":"new"}}'),
        ("order", f'{{"id":{number},"item":"Tea pot","quantity":2,"status":"paid"}}'),
        ("order-deleted", f'{{"id":{number}}}'),
    ]


def test_another_process_announces_what_it_commits_and_nothing_that_it_rolls_back(over_redis: Site) -> None:
    with over_redis.listening("/orders/events/") as events:
        over_redis.shell(
            "from django.db import transaction\n"
            "from orders.models import Order\n"
            "with transaction.atomic():\n"
            "    Order.objects.create(item='never was')\n"
            "    transaction.set_rollback(True)\n"
            "with transaction.atomic():\n"
            "    Order.objects.create(item='is')\n"
        )
        assert '"item":"is"' in next(events).data


def test_a_rolled_back_part_of_a_transaction_is_not_announced(over_redis: Site) -> None:
    with over_redis.listening("/orders/events/") as events:
        over_redis.shell(
            "from django.db import transaction\n"
            "from orders.models import Order\n"
            "with transaction.atomic():\n"
            "    order = Order.objects.create(item='kept')\n"
            "    with transaction.atomic():\n"
            "        Order.objects.create(item='taken back')\n"
            "        transaction.set_rollback(True)\n"
            "    order.save()\n"
        )
        assert ['"item":"kept"' in next(events).data for _ in range(2)] == [True, True]


def test_the_stream_of_an_order_that_is_not_there_is_a_404(over_memory: Site) -> None:
    response = over_memory.client.get("/orders/9999/events/", headers={"Accept": "text/event-stream"})
    assert response.status_code == 404
    assert response.json() == {"detail": "No Order matches the given query."}


def test_the_user_demo_may_enter_the_admin(over_memory: Site) -> None:
    assert over_memory.client.get("/admin/orders/order/").status_code == 302
    log_in(over_memory.client)
    assert over_memory.client.get("/admin/orders/order/").status_code == 200


# Under WSGI


def test_runserver_has_channels_under_wsgi(example_database: Path) -> None:
    with (
        serve_example(example_database, command=RUNSERVER) as server,
        site_of(server, example_database) as site,
        site.listening("/chat/wsgi/events/") as messages,
        site.listening("/orders/events/") as orders,
    ):
        said = site.say("wsgi", "Hello")
        assert next(messages).data == said.text
        order = site.client.post("/orders/api/", json={"item": "Cup"})
        assert next(orders).data == order.text
