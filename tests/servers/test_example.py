"""Tests of the exact bytes that the example sends on real servers."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from adrf_sse.events import ServerSentEvent
from adrf_sse.testing import EventParser
from tests.support.example import ENDLESS, EXAMPLE, RUNSERVER, log_in, manage, serve_example
from tests.support.servers import Server

pytestmark = pytest.mark.server

MESSAGES = b"".join(b"data: Message %d of 5\n\n" % number for number in range(1, 6))
COUNTDOWN = b"".join(b"event: tick\ndata: %d\n\n" % number for number in range(10, 0, -1))
DONE, END = ("done", '{"percent":100}'), ("end", "{}")
SECTION = re.compile(r"<h2[^>]*><code>(.*?)</code>.*?<pre[^>]*><code>(.*?)</code></pre>", re.DOTALL)
"""The name and the code of a file on a source page."""
LINE = re.compile(r'<span [^>]*data-number="(\d+)">(.*)</span>')
BLASTOFF = b"event: blastoff\ndata: Blastoff!\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"


@pytest.fixture
def quick(quick_server: Server) -> Iterator[httpx.Client]:
    with http_client(quick_server) as client:
        yield client


@pytest.fixture
def slow(slow_server: Server) -> Iterator[httpx.Client]:
    with http_client(slow_server) as client:
        yield client


@contextmanager
def http_client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
    print(server.described())  # pytest shows it if the test fails


def parse_events(body: bytes) -> list[tuple[str | None, Any]]:
    return [(event.event, event.data) for event in EventParser().feed(body)]


def take(client: httpx.Client, url: str, count: int) -> list[ServerSentEvent]:
    """Read ``count`` events of a stream, then disconnect."""
    parser, events = EventParser(), []
    with client.stream("GET", url) as response:
        assert response.status_code == 200
        for chunk in response.iter_raw():
            events += parser.feed(chunk)
            if len(events) >= count:
                return events
    raise AssertionError(f"The stream ended after {events}, {count} were expected.")


def start_job(client: httpx.Client) -> str:
    response = client.post("/progress/jobs/")
    assert response.status_code == 201
    return response.json()["events"]


# Stock adrf view, plain Django view


@pytest.mark.parametrize("url", ["/test/", "/test2/"])
def test_the_first_message_arrives_before_the_second_exists(slow: httpx.Client, url: str) -> None:
    with slow.stream("GET", url) as response:
        assert next(response.iter_raw()) == b"data: Message 1 of 5\n\n"


@pytest.mark.parametrize("url", ["/test/", "/test2/"])
def test_all_messages_arrive_with_the_headers_of_a_stream(quick: httpx.Client, url: str) -> None:
    response = quick.get(url, headers={"Accept": "text/event-stream"})
    assert response.content == MESSAGES
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert "content-length" not in response.headers


# Countdown


@pytest.mark.parametrize("url", ["/countdown/events/", "/countdown/sync/events/"])
def test_countdown_ends_with_blastoff_and_the_end_id(quick: httpx.Client, url: str) -> None:
    assert quick.get(url).content == COUNTDOWN + BLASTOFF


@pytest.mark.parametrize("url", ["/countdown/events/", "/countdown/sync/events/"])
def test_a_client_that_has_seen_the_end_gets_204(quick: httpx.Client, url: str) -> None:
    response = quick.get(url, headers={"Last-Event-ID": "adrf-sse-end"})
    assert response.status_code == 204
    assert response.content == b""


def test_the_first_tick_arrives_before_the_second_exists(slow: httpx.Client) -> None:
    with slow.stream("GET", "/countdown/events/") as response:
        assert next(response.iter_raw()) == b"event: tick\ndata: 10\n\n"


# News and weather


def test_one_stream_combines_the_events_of_two_producers(slow: httpx.Client) -> None:
    first, second = take(slow, "/news-and-weather/events/", 2)
    assert {first.event, second.event} == {"news", "weather"}


def test_news_and_weather_are_sent_at_different_intervals(quick: httpx.Client) -> None:
    events = take(quick, "/news-and-weather/events/", 20)
    news, weather = ([event.data for event in events if event.event == name] for name in ("news", "weather"))
    assert len(news) > len(weather) > 1
    assert news[:2] == ["Local cat elected mayor, promises longer naps", "Chess club wins regatta by a pawn"]
    assert weather[:2] == ["Sunny, 21 °C", "Light breeze from the west"]


# Planets


def test_a_view_can_be_read_in_three_formats(quick: httpx.Client) -> None:
    stream, lines, whole = (
        quick.get("/planets/", headers={"Accept": accept})
        for accept in ("text/event-stream", "application/jsonl", "application/json")
    )
    assert stream.content.startswith(b'id: 1\nevent: planet\ndata: {"name":"Mercury","moons":0}\n\n')
    assert stream.content.endswith(b'data: {"name":"Mars","moons":2}\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n')
    assert lines.content == (
        b'{"event":"planet","id":"1","data":{"name":"Mercury","moons":0}}\n'
        b'{"event":"planet","id":"2","data":{"name":"Venus","moons":0}}\n'
        b'{"event":"planet","id":"3","data":{"name":"Earth","moons":1}}\n'
        b'{"event":"planet","id":"4","data":{"name":"Mars","moons":2}}\n'
        b'{"event":"end","id":"adrf-sse-end","data":{}}\n'
    )
    *planets, _ = lines.iter_lines()
    assert whole.json() == [json.loads(line) for line in planets]
    assert whole.headers["content-type"] == "application/json"


def test_the_first_line_arrives_before_the_second_exists(slow: httpx.Client) -> None:
    with slow.stream("GET", "/planets/", headers={"Accept": "application/jsonl"}) as response:
        assert next(response.iter_raw()) == b'{"event":"planet","id":"1","data":{"name":"Mercury","moons":0}}\n'


# Progress


def test_a_job_reports_its_progress_until_it_is_done(quick: httpx.Client) -> None:
    body = quick.get(start_job(quick)).content
    *progress, done, end = parse_events(body)
    percents = [int(re.fullmatch(r'\{"percent":(\d+)\}', data)[1]) for _, data in progress]
    assert {name for name, _ in progress} == {"progress"}
    assert percents == sorted(set(percents))
    assert percents[-1] == 100
    assert (done, end) == (DONE, END)
    assert body.endswith(b"\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n")


def test_a_late_client_receives_the_current_state_first(quick: httpx.Client) -> None:
    url = start_job(quick)
    quick.get(url)
    assert parse_events(quick.get(url).content) == [("progress", '{"percent":100}'), DONE, END]


def test_two_clients_can_watch_one_job(slow: httpx.Client) -> None:
    url = start_job(slow)
    assert take(slow, url, 1) == take(slow, url, 1)


def test_an_unknown_job_is_a_404_with_a_json_body(quick: httpx.Client) -> None:
    response = quick.get("/progress/jobs/none/events/", headers={"Accept": "text/event-stream"})
    assert response.status_code == 404
    assert response.json() == {"detail": "Not found."}


def test_old_jobs_are_removed_when_there_are_many(quick: httpx.Client) -> None:
    url = start_job(quick)
    quick.get(url)
    *_, last = [start_job(quick) for _ in range(50)]
    assert quick.get(url).status_code == 404
    quick.get(last)  # all jobs are done then, and other tests can start some


def test_at_most_fifty_jobs_can_run(example_database: Path) -> None:
    with serve_example(example_database, ENDLESS) as server, http_client(server) as client:
        for _ in range(50):
            start_job(client)
        refusal = client.post("/progress/jobs/")
    assert refusal.status_code == 503
    assert refusal.json() == {"detail": "Too many jobs are running. Try again when one is done."}


# Members


def test_an_anonymous_client_gets_a_403_with_a_json_body(quick: httpx.Client) -> None:
    response = quick.get("/members/events/", headers={"Accept": "text/event-stream"})
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"detail": "Authentication credentials were not provided."}


def test_the_page_for_members_links_to_the_login_page(quick: httpx.Client) -> None:
    page = quick.get("/members/").text
    assert "You are not logged in" in page
    assert 'href="/login/?next=/members/"' in page


def test_a_member_receives_a_greeting_and_the_time(quick: httpx.Client) -> None:
    log_in(quick)
    greeting, *times = take(quick, "/members/events/", 4)
    assert (greeting.event, greeting.data) == ("greeting", "Hello, demo!")
    assert {event.event for event in times} == {"time"}
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d UTC", event.data) for event in times)


def test_a_member_needs_the_csrf_token_to_start_a_job(quick: httpx.Client) -> None:
    log_in(quick)
    assert quick.post("/progress/jobs/").status_code == 403
    token = {"X-CSRFToken": quick.cookies["csrftoken"]}
    assert quick.post("/progress/jobs/", headers=token).status_code == 201


def test_a_logout_ends_the_streams_of_its_session(slow: httpx.Client, slow_server: Server) -> None:
    log_in(slow)
    with slow.stream("GET", "/members/events/") as response:
        chunks = response.iter_raw()
        received = next(chunks)
        slow.post("/logout/", headers={"X-CSRFToken": slow.cookies["csrftoken"]})
        received += b"".join(chunks)
    assert [name for name, _ in parse_events(received)] == ["greeting", "time"]
    slow_server.wait_for("revoked")


# Pages


@pytest.mark.parametrize(
    "url",
    [
        *("/", "/countdown/", "/countdown/sync/", "/news-and-weather/", "/progress/", "/members/", "/login/"),
        *("/chat/", "/chat/tea-room/", "/orders/", "/assistant/", "/source/test/"),
    ],
)
def test_pages_and_their_assets_are_served(quick: httpx.Client, url: str) -> None:
    page = quick.get(url)
    assert page.status_code == 200
    assets = re.findall(r'"(/static/[^"]+)"', page.text)
    assert len(assets) >= 2
    assert {quick.get(asset).status_code for asset in assets} == {200}


def test_the_index_shows_a_curl_command_for_every_stream(quick: httpx.Client) -> None:
    page = quick.get("/").text
    for url in (
        "/test/",
        "/test2/",
        "/countdown/events/",
        "/countdown/sync/events/",
        "/news-and-weather/events/",
        "/chat/lobby/events/",
        "/orders/api/live/",
    ):
        assert f"curl -N {quick.base_url}{url}<" in page
    assert f"curl -sX POST {quick.base_url}/progress/jobs/" in page
    assert f"curl -i {quick.base_url}/members/events/" in page


def test_the_index_links_to_the_source_of_every_card(quick: httpx.Client) -> None:
    index = quick.get("/").text
    urls = re.findall(r'href="(/source/[^"]+)"', index)
    assert len(urls) == index.count("data-card")
    for url in urls:
        sections = SECTION.findall(quick.get(url).text)
        assert sections, url
        for name, code in sections:
            lines = (EXAMPLE.parent / name).read_text().splitlines()
            shown = [(int(number), unescape(line)) for number, line in LINE.findall(code)]
            assert shown == list(enumerate(lines, 1))


STREAM_JS = "streams/static/streams/stream.js"


@pytest.mark.parametrize(
    ("card", "files", "view"),
    [
        ("test", ["streams/messages.py", "streams/static/streams/cards.js"], "class StockView(APIView):"),
        ("test2", ["streams/messages.py", "streams/static/streams/cards.js"], "async def plain_view(request):"),
        (
            "progress-jobs",
            ["streams/progress.py", "streams/jobs.py", "streams/static/streams/progress.js"],
            "class Jobs(APIView):",
        ),
        (
            "order-live",
            ["orders/views.py", "orders/static/orders/orders.js"],
            "class Orders(LiveModelMixin, ModelViewSet):",
        ),
        (
            "assistant-runs",
            ["assistant/views.py", "assistant/model.py", "assistant/static/assistant/assistant.js"],
            "class Assistant(RunView):",
        ),
    ],
)
def test_the_source_of_a_card_marks_its_view(quick: httpx.Client, card: str, files: list[str], view: str) -> None:
    page = quick.get(f"/source/{card}/").text
    assert [name for name, _ in SECTION.findall(page)] == [f"example/{file}" for file in [*files, STREAM_JS]]
    marked = re.findall(r'<span [^>]*class="marked" data-number="\d+">(.*)</span>', page)
    assert view in marked
    assert len([line for line in marked if re.match(r"class |(async )?def ", line)]) == 1


@pytest.mark.parametrize("url", ["/countdown/", "/chat/tea-room/", "/orders/", "/assistant/", "/members/"])
def test_a_page_links_to_the_code_of_its_view_and_of_its_script(quick: httpx.Client, url: str) -> None:
    page = quick.get(url).text
    (source, view), (same, script) = re.findall(r'href="(/source/[^"#]+/)#([^"]+)"', page)
    assert (source, view, script.rpartition(".")[2]) == (same, "view", "js")
    for id in (view, script):
        assert quick.get(source).text.count(f'id="{id}"') == 1
    assert re.search(rf"curl [^<]*{quick.base_url}/", page)


def test_only_cards_have_a_source(quick: httpx.Client) -> None:
    assert quick.get("/source/settings/").status_code == 404


# The project


def test_the_openapi_document_is_served(quick: httpx.Client) -> None:
    document = quick.get("/schema/openapi/", headers={"Accept": "application/json"}).json()
    assert document["openapi"] == "3.1.0"
    stream = document["paths"]["/countdown/events/"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert set(stream) == {"schema"}


def test_manage_check_reports_no_issues(tmp_path: Path) -> None:
    assert "no issues" in manage("check", database=tmp_path / "unused.sqlite3")


def test_no_migration_is_missing(tmp_path: Path) -> None:
    assert "No changes" in manage("makemigrations", "--check", "--dry-run", database=tmp_path / "unused.sqlite3")


def test_runserver_streams_under_wsgi(example_database: Path) -> None:
    with serve_example(example_database, command=RUNSERVER) as server, http_client(server) as client:
        for url in ("/test/", "/test2/"):
            assert client.get(url).content == MESSAGES
        for url in ("/countdown/events/", "/countdown/sync/events/"):
            assert client.get(url).content == COUNTDOWN + BLASTOFF
        assert {event.event for event in take(client, "/news-and-weather/events/", 9)} == {"news", "weather"}
        assert parse_events(client.get(start_job(client)).content)[-2:] == [DONE, END]
        log_in(client)
        assert take(client, "/members/events/", 1)[0].data == "Hello, demo!"


def test_runserver_sends_the_first_message_before_the_second_exists(example_database: Path) -> None:
    with serve_example(example_database, ENDLESS, command=RUNSERVER) as server, http_client(server) as client:
        for url in ("/test/", "/test2/"):
            assert take(client, url, 1)[0].data == "Message 1 of 5"


# Consoles


def test_a_posted_text_is_streamed_word_by_word(quick: httpx.Client) -> None:
    response = quick.post("/words/", json={"text": "to be"}, headers={"Accept": "text/event-stream"})
    assert parse_events(response.content) == [("word", '{"word":"to"}'), ("word", '{"word":"be"}'), ("done", "{}")]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/test/", 200),
        ("/countdown/events/", 200),
        ("/countdown/sync/events/", 200),
        ("/news-and-weather/events/", 200),
        ("/members/events/", 403),
        ("/words/", 405),
    ],
)
def test_a_browser_gets_the_console(quick: httpx.Client, url: str, status: int) -> None:
    page = quick.get(url, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert "data-sse-console" in page.text
