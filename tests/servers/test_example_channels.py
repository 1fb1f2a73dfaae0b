"""Tests of the example's chat and orders on real servers, with each broker, and of its assistant with PostgreSQL."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import httpx
import pytest

from adrf_sse.events import ServerSentEvent
from adrf_sse.testing import EventParser
from tests.support.example import RUNSERVER, TWO_WORKERS, log_in, manage, serve_example
from tests.support.postgres_server import Postgres, cluster
from tests.support.redis_server import redis_server
from tests.support.servers import Server

pytestmark = pytest.mark.server

UNAVAILABLE_REDIS = "redis://127.0.0.1:1/0"
"""A Redis URL at which no server listens."""
LIVE = "/orders/api/live/"


@dataclass
class Site:
    """A running example and a client for it."""

    client: httpx.Client
    database: Path
    redis_url: str = ""
    database_url: str = ""

    def shell(self, code: str) -> None:
        """Run ``code`` in another process of the project."""
        manage("shell", "-c", code, database=self.database, redis_url=self.redis_url, database_url=self.database_url)

    def post_message(self, room: str, text: str, author: str = "Ada") -> httpx.Response:
        return self.client.post(f"/chat/{room}/messages/", json={"author": author, "text": text})

    def texts(self, room: str) -> list[str]:
        return [message["text"] for message in self.client.get(f"/chat/{room}/messages/").json()]

    @contextmanager
    def open_stream(self, url: str, **headers: str) -> Iterator[Iterator[ServerSentEvent]]:
        """Open a stream and yield its events, without ``ready``."""
        with self.client.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200
            yield (event for event in parse_events(response) if event.event != "ready")


def parse_events(response: httpx.Response) -> Iterator[ServerSentEvent]:
    parser = EventParser()
    for chunk in response.iter_raw():
        yield from parser.feed(chunk)


@contextmanager
def site_for(server: Server, database: Path, redis_url: str = "", database_url: str = "") -> Iterator[Site]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield Site(client, database, redis_url, database_url)
    print(server.described())  # pytest shows it if the test fails


@pytest.fixture(scope="module")
def two_workers(example_database: Path) -> Iterator[tuple[Server, str]]:
    with (
        redis_server() as redis,
        serve_example(example_database, command=TWO_WORKERS, redis_url=redis.url) as server,
    ):
        yield server, redis.url


@pytest.fixture(scope="module")
def postgres_workers() -> Iterator[tuple[Server, Postgres]]:
    nowhere = Path("/nonexistent.sqlite3")
    with cluster(max_connections=100) as postgres:
        manage("migrate", "--verbosity", "0", database=nowhere, database_url=postgres.url)
        with serve_example(nowhere, command=TWO_WORKERS, database_url=postgres.url) as server:
            yield server, postgres


@pytest.fixture
def memory_site(quick_server: Server, example_database: Path) -> Iterator[Site]:
    with site_for(quick_server, example_database) as site:
        yield site


@pytest.fixture
def redis_site(two_workers: tuple[Server, str], example_database: Path) -> Iterator[Site]:
    server, redis_url = two_workers
    with site_for(server, example_database, redis_url) as site:
        yield site


@pytest.fixture
def postgres_site(postgres_workers: tuple[Server, Postgres]) -> Iterator[Site]:
    server, postgres = postgres_workers
    with site_for(server, Path("/nonexistent.sqlite3"), database_url=postgres.url) as site:
        yield site


@pytest.fixture(params=["memory_site", "redis_site", pytest.param("postgres_site", marks=pytest.mark.slow)])
def site(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# Chat


def test_a_message_is_sent_only_to_clients_in_its_room(site: Site) -> None:
    with site.open_stream("/chat/tea/events/") as tea, site.open_stream("/chat/coffee/events/") as coffee:
        posted = site.post_message("tea", "Is it ready?")
        assert posted.status_code == 201
        site.post_message("coffee", "Another cup, please")
        event = next(tea)
        assert (event.event, event.data) == (None, posted.text)
        assert "Another cup" in next(coffee).data


def test_a_client_that_reconnects_receives_the_messages_that_it_missed(site: Site) -> None:
    with site.open_stream("/chat/back/events/") as events:
        site.post_message("back", "one")
        last = next(events)
    site.post_message("back", "two")
    with site.open_stream("/chat/back/events/", **{"Last-Event-ID": str(last.id)}) as events:
        site.post_message("back", "three")
        assert [re.search(r'"text":"(\w+)"', next(events).data)[1] for _ in range(2)] == ["two", "three"]


def test_the_latest_messages_are_listed_newest_first(memory_site: Site) -> None:
    for number in range(52):
        memory_site.post_message("full", str(number))
    assert memory_site.texts("full") == [str(number) for number in range(51, 1, -1)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"author": "Ada", "text": " "}, {"text": ["This field may not be blank."]}),
        ({"author": "Ada", "text": "x" * 501}, {"text": ["Ensure this field has no more than 500 characters."]}),
        ({"author": "x" * 31, "text": "Hi"}, {"author": ["Ensure this field has no more than 30 characters."]}),
        ({"text": "a\0b"}, {"author": ["This field is required."], "text": ["Null characters are not allowed."]}),
    ],
)
def test_an_invalid_message_is_refused_and_not_published(
    memory_site: Site, data: dict[str, str], problem: dict[str, list[str]]
) -> None:
    with memory_site.open_stream("/chat/strict/events/") as events:
        refusal = memory_site.client.post("/chat/strict/messages/", json=data)
        assert (refusal.status_code, refusal.json()) == (400, problem)
        message = memory_site.post_message("strict", "Hello")
        assert next(events).data == message.text


@pytest.mark.parametrize("room", ["x" * 41, "caf%C3%A9", "a.b", "a%20b"])
def test_an_invalid_room_name_is_a_404_response(memory_site: Site, room: str) -> None:
    for page in ("", "messages/", "events/"):
        assert memory_site.client.get(f"/chat/{room}/{page}").status_code == 404


def test_a_message_is_saved_while_redis_is_unavailable(example_database: Path) -> None:
    with (
        serve_example(example_database, redis_url=UNAVAILABLE_REDIS) as server,
        site_for(server, example_database, UNAVAILABLE_REDIS) as site,
    ):
        assert site.post_message("alone", "Anybody here?").status_code == 201
        assert site.texts("alone") == ["Anybody here?"]
    assert "BrokerUnavailable: Redis at 127.0.0.1:1 must store the event" in server.output


@pytest.mark.slow
def test_neither_a_message_nor_an_order_is_saved_if_postgresql_can_not_announce_it(
    postgres_site: Site, postgres_workers: tuple[Server, Postgres]
) -> None:
    _, postgres = postgres_workers
    orders = postgres_site.client.get("/orders/api/").json()
    postgres.execute("ALTER TABLE adrf_sse_staged RENAME TO gone")
    try:
        assert postgres_site.post_message("alone", "Anybody here?").status_code == 503
        assert postgres_site.client.post("/orders/api/", json={"item": "Cup"}).status_code == 503
    finally:
        postgres.execute("ALTER TABLE gone RENAME TO adrf_sse_staged")
    assert postgres_site.texts("alone") == []
    assert postgres_site.client.get("/orders/api/").json() == orders


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite:///secret", "postgres://user:secret@[::1/name", "postgres://host:1"])
def test_the_error_for_a_wrong_database_url_says_what_to_correct(url: str) -> None:
    with pytest.raises(CalledProcessError) as error:
        manage("check", database=Path("/nonexistent.sqlite3"), database_url=url)
    message = error.value.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured: DATABASE_URL must be postgres://user:password@host:port/name" in message
    assert "secret" not in message


# Orders


def test_creating_changing_and_deleting_an_order_is_streamed(site: Site) -> None:
    with site.open_stream(LIVE) as events:
        assert next(events).event == "snapshot"
        order = site.client.post("/orders/api/", json={"item": "Tea pot", "quantity": 2})
        created = next(events)
        url = f"/orders/api/{order.json()['id']}/"
        changed = site.client.patch(url, json={"status": "paid"})
        updated = next(events)
        site.client.delete(url)
        deleted = next(events)
    assert [(event.event, event.data) for event in (created, updated, deleted)] == [
        ("created", order.text),
        ("updated", changed.text),
        ("deleted", f'{{"pk":{order.json()["id"]}}}'),
    ]


def test_the_snapshot_contains_the_orders_of_the_list(memory_site: Site) -> None:
    memory_site.client.post("/orders/api/", json={"item": "Jar"})
    with memory_site.open_stream(LIVE) as events:
        assert json.loads(next(events).data) == memory_site.client.get("/orders/api/").json()


@pytest.mark.parametrize("name", ["redis_site", pytest.param("postgres_site", marks=pytest.mark.slow)])
def test_another_process_announces_committed_orders_but_not_rolled_back_ones(
    name: str, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue(name)
    with site.open_stream(LIVE) as events:
        assert next(events).event == "snapshot"
        site.shell(
            "from django.db import transaction\n"
            "from orders.models import Order\n"
            "with transaction.atomic():\n"
            "    Order.objects.create(item='rolled back')\n"
            "    transaction.set_rollback(True)\n"
            "with transaction.atomic():\n"
            "    Order.objects.create(item='committed')\n"
        )
        event = next(events)
    assert event.event == "created"
    assert '"item":"committed"' in event.data


def test_the_demo_user_can_open_the_admin(memory_site: Site) -> None:
    assert memory_site.client.get("/admin/orders/order/").status_code == 302
    log_in(memory_site.client)
    assert memory_site.client.get("/admin/orders/order/").status_code == 200


# Assistant


@pytest.mark.slow
def test_an_answer_is_the_same_in_every_worker_with_postgresql(postgres_site: Site) -> None:
    answer = postgres_site.client.post("/assistant/runs/", data={"prompt": "Why?"}, headers={"Accept": "*/*"})
    assert answer.content.endswith(b'event: end\ndata: {"status":"completed"}\n\n')
    for _ in range(4):  # each connection may reach another worker
        again = httpx.get(postgres_site.client.base_url.join(answer.headers["Location"]), timeout=60)
        assert again.content == answer.content


# Under WSGI


def test_channels_work_with_runserver_under_wsgi(example_database: Path) -> None:
    with (
        serve_example(example_database, command=RUNSERVER) as server,
        site_for(server, example_database) as site,
        site.open_stream("/chat/wsgi/events/") as messages,
        site.open_stream(LIVE) as orders,
    ):
        message = site.post_message("wsgi", "Hello")
        assert next(messages).data == message.text
        assert next(orders).event == "snapshot"
        order = site.client.post("/orders/api/", json={"item": "Cup"})
        assert next(orders).data == order.text
