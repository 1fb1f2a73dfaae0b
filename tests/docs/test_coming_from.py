"""The projects of the pages "Coming from": a client receives the same events from both packages."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent
from websockets.sync.client import connect

from tests.docs.projects import Reader, manage, printed, section, served
from tests.support.servers import Server

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(180)]

TIMEOUT = 30  # a server that has just started on a busy machine needs a while
CREATE_TOKEN = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
print(Token.objects.create(user=User.objects.create(username="alice")).key)
"""
SYNC_UNDER_ASGI = "StreamingHttpResponse must consume synchronous iterators"


@contextmanager
def opened(server: Server, path: str, **kwargs: Any) -> Iterator[Reader]:
    with httpx.stream(kwargs.pop("method", "GET"), f"{server.url}{path}", timeout=TIMEOUT, **kwargs) as response:
        assert response.status_code == 200
        yield Reader(response)


def values(events: Iterable[ServerSentEvent]) -> list[tuple[str, Any]]:
    """Return the name and the decoded data of each event."""
    return [(event.event, json.loads(event.data)) for event in events]


def post(server: Server, path: str) -> None:
    httpx.post(f"{server.url}{path}", timeout=TIMEOUT).raise_for_status()


def token(project: Path) -> str:
    """Create the tables of a project, and a user with a token."""
    manage(project, "migrate")
    return manage(project, "shell", "-c", CREATE_TOKEN).split()[-1]


# StreamingHttpResponse

PLAIN = "coming-from/streaming-http-response.md"
TICKS = [("tick", {"number": number}) for number in (1, 2, 3)]


@pytest.mark.parametrize("titles", [["Before"], ["After"], ["After", "Step by step"]])
def test_streaming_http_response(titles: list[str], tmp_path: Path) -> None:
    sections = [section(PLAIN, title) for title in titles]
    with served(tmp_path / "project", *sections) as server:
        with opened(server, "/ticker/") as stream:
            assert values(stream.read_all()) == TICKS
        with opened(server, "/async-ticker/") as stream:
            assert values(stream.read_all()) == TICKS
            assert len(titles) == 2 or printed(stream.text) == printed(sections[0].outputs[0])
        if titles == ["Before"]:
            server.wait_for(SYNC_UNDER_ASGI)
    assert (SYNC_UNDER_ASGI in server.output) == (titles == ["Before"])


# django-eventstream

EVENTSTREAM = "coming-from/django-eventstream.md"
PAID = ("order", {"pk": 42, "status": "paid"})


def test_django_eventstream_before(tmp_path: Path) -> None:
    before = section(EVENTSTREAM, "Before")
    with served(tmp_path / "project", before) as server:
        with opened(server, "/orders/42/events/") as stream:
            stream.read(2)
            post(server, "/orders/42/pay/")
            assert values(stream.read(3)[1:]) == [PAID]
            assert printed(stream.text) == printed(before.outputs[0])
        with opened(server, "/events/?channel=staff.news") as stream:
            assert [event.event for event in stream.read_all()] == ["stream-error"]


def test_django_eventstream_after(tmp_path: Path) -> None:
    after = section(EVENTSTREAM, "After")
    with served(tmp_path / "project", after) as server:
        with opened(server, "/orders/42/stream/") as stream:
            stream.read(1)
            post(server, "/orders/42/pay/")
            assert values(stream.read(2)[1:]) == [PAID]
            assert printed(stream.text) == printed(after.outputs[0])
        with opened(server, "/stream/?channel=news&channel=orders.42&last_event_id=0") as stream:
            assert PAID in values(stream.read(2))
        refused = httpx.get(f"{server.url}/stream/?channel=staff.news", timeout=TIMEOUT)
        assert refused.status_code == 403


def test_django_eventstream_and_adrf_sse_side_by_side(tmp_path: Path) -> None:
    before, after, between = (section(EVENTSTREAM, title) for title in ("Before", "After", "Step by step"))
    after.appended.clear()
    with served(tmp_path / "project", before, after, between) as server:
        old, new = "/orders/42/events/", "/orders/42/stream/"
        with opened(server, old) as old_stream, opened(server, new) as new_stream:
            old_stream.read(2)
            new_stream.read(1)
            post(server, "/orders/42/pay/")
            old_event, new_event = old_stream.read(3)[-1], new_stream.read(2)[-1]
            assert values([old_event]) == values([new_event]) == [PAID]
        for sent_id in (old_event.id, "error"):
            with opened(server, new, headers={"Last-Event-ID": sent_id}) as stream:
                assert values(stream.read(1))[0] == ("reset", {"last_event_id": sent_id})
        with opened(server, old, headers={"Last-Event-ID": new_event.id}) as stream:
            (error,) = stream.read_all()
            assert (error.event, error.id) == ("stream-error", "error")
        assert httpx.get(f"{server.url}{old}", headers={"Last-Event-ID": "error"}, timeout=TIMEOUT).status_code == 400


# django-flosse

FLOSSE = "coming-from/django-flosse.md"
PRICES = [*[("price", {"eur": number}) for number in (1, 2, 3)], ("note", {"text": "closed"})]


@pytest.mark.parametrize("title", ["Before", "After"])
def test_django_flosse(title: str, tmp_path: Path) -> None:
    project = section(FLOSSE, title)
    with served(tmp_path / "project", project) as server:
        with opened(server, "/prices/") as stream:
            *prices, end = [event for event in stream.read_all() if event.data]  # httpx-sse sees one in a retry, too
            assert values(prices) == PRICES
            assert [event.id for event in prices] == ["1", "2", "3", "3"]
            assert (end.event, end.data) == ("end", "bye")
            assert printed(stream.text) == printed(project.outputs[0])
        assert httpx.get(f"{server.url}/members/", timeout=TIMEOUT).status_code == 403


# sse-starlette and FastAPI

STARLETTE = "coming-from/sse-starlette.md"
FASTAPI = "coming-from/fastapi.md"
NOTE = ("note", "closed")


def prices_from(server: Server, path: str, **kwargs: Any) -> tuple[list[tuple[str, Any]], str]:
    """Return the prices of a stream, which ends with a note, and its text."""
    with opened(server, path, **kwargs) as stream:
        *prices, note = stream.read_all()
    assert (note.event, note.data) == NOTE
    assert [event.id for event in prices] == [str(json.loads(event.data)["eur"]) for event in prices]
    return values(prices), printed(stream.text)


@pytest.mark.parametrize("titles", [["Before"], ["After"], ["Before", "After", "Step by step"]])
def test_sse_starlette(titles: list[str], tmp_path: Path) -> None:
    sections = [section(STARLETTE, title) for title in titles]
    with served(tmp_path / "project", *sections) as server:
        prices, text = prices_from(server, "/prices/")
        assert (prices, text) == (PRICES[:3], printed(sections[0].outputs[0]))
        assert prices_from(server, "/prices/", headers={"Last-Event-ID": "2"})[0] == PRICES[2:3]
        with opened(server, "/words/") as stream:
            assert [(event.event, event.data) for event in stream.read_all()] == [("word", "one"), ("word", "two")]


QUESTION = {"prompt": "one two"}


def answer_of(server: Server, authorization: str) -> list[tuple[str, Any]]:
    with opened(server, "/chat/", method="POST", json=QUESTION, headers={"Authorization": authorization}) as stream:
        return values(stream.read_all())


@pytest.mark.parametrize("title", ["Before", "After"])
def test_fastapi(title: str, tmp_path: Path) -> None:
    project = section(FASTAPI, title)
    with served(tmp_path / "project", project) as server:
        prices, text = prices_from(server, "/prices/")
        assert (prices, text) == (PRICES[:3], printed(project.outputs[0]))
        assert prices_from(server, "/prices/", headers={"Last-Event-ID": "2"})[0] == PRICES[2:3]
        assert httpx.post(f"{server.url}/chat/", json=QUESTION, timeout=TIMEOUT).status_code == 401
        authorization = "Bearer any" if title == "Before" else f"Token {token(tmp_path / 'project')}"
        assert answer_of(server, authorization) == [("message", {"text": "one"}), ("message", {"text": "two"})]
        refused = httpx.post(
            f"{server.url}/chat/", json={"prompt": ""}, headers={"Authorization": authorization}, timeout=TIMEOUT
        )
        assert refused.status_code == (422 if title == "Before" else 400)


def test_fastapi_and_adrf_sse_side_by_side(tmp_path: Path) -> None:
    before, after, between = (section(FASTAPI, title) for title in ("Before", "After", "Step by step"))
    before.files["app.py"] = before.files["app.py"].replace('"/chat/"', '"/old-chat/"')
    with served(tmp_path / "project", before, after, between) as server:
        assert prices_from(server, "/prices/")[1] == printed(before.outputs[0])
        refused = httpx.post(f"{server.url}/chat/", json=QUESTION, timeout=TIMEOUT)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Token")


# Channels

CHANNELS = "coming-from/channels.md"
MESSAGE = {"type": PAID[0], "data": PAID[1]}


@contextmanager
def opened_socket(server: Server) -> Iterator[Callable[[], Any]]:
    """Open the WebSocket of an order, and return a function that waits for a message."""
    with connect(f"{server.url.replace('http', 'ws')}/orders/42/socket/") as socket:
        yield lambda: json.loads(socket.recv(TIMEOUT))


def test_channels_before(tmp_path: Path) -> None:
    before = section(CHANNELS, "Before")
    with (
        served(tmp_path / "project", before) as server,
        opened(server, "/orders/42/events/") as stream,
        opened_socket(server) as next_message,
    ):
        post(server, "/orders/42/pay/")
        assert values(stream.read(1)) == [PAID]
        assert printed(stream.text) == printed(before.outputs[0])
        assert next_message() == MESSAGE


def test_channels_after(tmp_path: Path) -> None:
    after = section(CHANNELS, "After")
    with served(tmp_path / "project", after) as server, opened(server, "/orders/42/stream/") as stream:
        stream.read(1)
        post(server, "/orders/42/pay/")
        assert values(stream.read(2)[1:]) == [PAID]
        assert printed(stream.text) == printed(after.outputs[0])


def test_channels_and_adrf_sse_side_by_side(tmp_path: Path) -> None:
    before, after, between = (section(CHANNELS, title) for title in ("Before", "After", "Step by step"))
    after.appended.clear()
    with (
        served(tmp_path / "project", before, after, between) as server,
        opened(server, "/orders/42/events/") as old_stream,
        opened(server, "/orders/42/stream/") as new_stream,
        opened_socket(server) as next_message,
    ):
        new_stream.read(1)
        post(server, "/orders/42/pay/")
        assert values(old_stream.read(1)) == values(new_stream.read(2)[1:]) == [PAID]
        assert next_message() == MESSAGE
