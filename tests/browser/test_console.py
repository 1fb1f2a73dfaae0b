"""Tests of the console in Chromium, with a Content-Security-Policy that forbids inline scripts and styles."""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from adrf_sse.testing import EventParser
from tests.project.console_views import EVIL, FLOOD, TORN
from tests.servers.test_servers import ROOT
from tests.support.browsers import MIN_CONTRAST, WatchedPage, contrast, watched_page
from tests.support.parameters import slow_except
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

UVICORN = ["-m", "uvicorn", "tests.project.console_asgi:application", "--fd", "{fd}"]
MAX_ROWS = 300
FORBIDDEN = "Authentication credentials were not provided."
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event => {
    violations.push(`${event.violatedDirective} ${event.sourceFile}`);
});
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(UVICORN, env={"DJANGO_SETTINGS_MODULE": "tests.project.console_settings"}, cwd=ROOT) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def watched(browser: Browser, server: Server) -> AsyncIterator[WatchedPage]:
    async with watched_page(browser, base_url=server.url) as watched:
        await watched.page.context.add_init_script(VIOLATIONS)
        yield watched
        assert await watched.page.evaluate("window.violations") == []
        assert await watched.page.evaluate("window.hacked") is None
        ignore_refusals(watched)


def ignore_refusals(watched: WatchedPage) -> None:
    """Discard the error that Chromium reports for each response that is not a success."""
    watched.errors[:] = [error for error in watched.errors if "responded with a status of" not in error]


@pytest.fixture
def page(watched: WatchedPage) -> Page:
    return watched.page


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


async def open_gate(pipe: Path) -> None:
    """Let a gated stream send its remaining events."""
    await asyncio.to_thread(pipe.write_bytes, b".")


def part(page: Page, name: str) -> Locator:
    return page.locator(f"[data-sse={name}]")


def button(page: Page, name: str) -> Locator:
    return page.locator(".sse-console").get_by_role("button", name=name)


def rows(page: Page) -> Locator:
    return page.locator("[data-sse=rows] > li")


async def shown(page: Page) -> list[list[str]]:
    """Return the event name, id and data of each row, the newest first."""
    return await rows(page).evaluate_all("rows => rows.map(row => [...row.children].slice(1).map(e => e.textContent))")


async def connect(page: Page, path: str) -> None:
    await page.goto(path)
    await button(page, "Connect").click()


async def expect_state(page: Page, state: str, text: str) -> None:
    await expect(part(page, "state")).to_have_text(text)
    await expect(part(page, "state")).to_have_attribute("data-state", state)


# Without JavaScript


async def test_a_shell_runs_nothing_of_the_query_in_the_curl_command(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    context = await browser.new_context(base_url=server.url, java_script_enabled=False)
    page = await context.new_page()
    defined = 'hack() { : > hacked; }\ncurl() { for argument in "$@"; do printf "%s\\n" "$argument"; done; }\n'
    for query in ("$(hack)", "a&hack", "a;hack", "';hack;'", '"$(hack)"', "(hack)", "\\"):
        await page.goto(f"/prices/?q={query}")
        command = await page.locator("noscript code").text_content()
        shell = await asyncio.create_subprocess_exec("sh", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        printed, _ = await shell.communicate(f"{defined}{command}\n".encode())
        *arguments, url = printed.decode().splitlines()
        assert arguments == ["-N", "-H", "Accept: text/event-stream"], query
        assert url.startswith(f"{server.url}/prices/?q="), query
        assert os.listdir(tmp_path) == [], query
    await context.close()


# Reading a stream


async def test_the_stream_is_not_opened_before_connect(watched: WatchedPage) -> None:
    page = watched.page
    await page.goto("/prices/")
    await expect(button(page, "Connect")).to_be_enabled()
    await expect_state(page, "idle", "Not connected")
    await expect(page.locator(".response-info")).to_be_hidden()
    assert watched.statuses_of("/prices/") == [200]


@pytest.mark.parametrize("path", ["/prices/", "/stock/"])
async def test_events_are_shown_newest_first_with_their_names_ids_and_data(page: Page, path: str) -> None:
    await connect(page, path)
    await expect_state(page, "live", "Connected")
    await expect(part(page, "total")).to_have_text("7")
    await expect(part(page, "comments")).to_have_text("1")
    await expect(part(page, "last-id")).to_have_text("3")
    events = await shown(page)
    assert events[:6] == [
        ["error", '{"detail": "A server error occurred.", "code": "error"}'],
        ["message", "just text"],
        ["comment", "half time"],
        ["exact", "[12345678901234567890, 1.0, {}, []]"],
        ["short", '{"eur": 1}'],
        ["price", "id 3", events[5][2]],
    ]
    price = {"eur": 3, "what": "Thing 3", "sizes": ["S", "M", "L"], "origin": {"country": "NL"}}
    assert events[5][2] == json.dumps(price, indent=2)
    await expect(rows(page).first.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))


async def test_the_parser_follows_the_specification(page: Page) -> None:
    await connect(page, "/torn/")
    parser = EventParser()
    events = parser.feed(TORN)
    await expect(part(page, "total")).to_have_text(str(len(events)))
    await expect_state(page, "waiting", "Stream ended, reconnecting in 600 s")
    displayed = [[row[0], row[-1]] for row in await shown(page) if row[0] != "comment"]
    assert displayed == [[event.event or "message", event.data] for event in reversed(events)]
    await expect(part(page, "retry")).to_have_text("600,000 ms")
    await expect(part(page, "last-id")).to_have_text("\N{EN DASH}")


async def test_stop_closes_the_connection_and_connect_opens_a_new_one(page: Page) -> None:
    await connect(page, "/prices/")
    await expect(part(page, "total")).to_have_text("7")
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/prices/")):
        await button(page, "Stop").click()
    await expect_state(page, "stopped", "Stopped")
    await expect(rows(page)).to_have_count(8)
    await button(page, "Connect").click()
    await expect_state(page, "live", "Connected")
    await expect(part(page, "total")).to_have_text("7")
    await expect(rows(page)).to_have_count(8)


async def test_a_paused_panel_counts_events_and_shows_them_when_resumed(page: Page, pipe: Path) -> None:
    await connect(page, f"/gated/?first=2&second=3&gate={pipe}")
    await expect(part(page, "total")).to_have_text("2")
    await button(page, "Pause").click()
    await open_gate(pipe)
    await expect(part(page, "total")).to_have_text("5")
    await expect(part(page, "missed")).to_have_text("Paused, 3 new.")
    await expect(rows(page)).to_have_count(2)
    await button(page, "Resume").click()
    await expect(rows(page)).to_have_count(5)
    assert [data for _, data in await shown(page)] == ["1002", "1001", "1000", "1", "0"]
    await expect(part(page, "missed")).to_be_empty()


async def test_clear_empties_the_list_and_counts_while_the_stream_stays_open(page: Page, pipe: Path) -> None:
    await connect(page, f"/gated/?first=4&second=1&gate={pipe}")
    await expect(rows(page)).to_have_count(4)
    await button(page, "Clear").click()
    await expect(rows(page)).to_have_count(0)
    await expect(part(page, "total")).to_have_text("0")
    await open_gate(pipe)
    await expect(part(page, "total")).to_have_text("1")
    assert await shown(page) == [["even", "1000"]]


async def test_the_filter_shows_events_of_one_name_and_keeps_the_others(page: Page, pipe: Path) -> None:
    await connect(page, f"/gated/?first=4&second=2&gate={pipe}")
    await expect(rows(page)).to_have_count(4)
    await page.get_by_label("Filter by event name").fill("odd")
    await expect(rows(page)).to_have_count(2)
    await open_gate(pipe)
    await expect(part(page, "total")).to_have_text("6")
    await expect(rows(page)).to_have_count(3)
    assert await shown(page) == [["odd", "1001"], ["odd", "3"], ["odd", "1"]]
    await page.get_by_label("Filter by event name").fill("")
    await expect(rows(page)).to_have_count(6)


async def test_a_rare_event_shown_by_the_filter_stays_while_many_others_arrive(page: Page, pipe: Path) -> None:
    await connect(page, f"/gated/?first=2&second=1000&gate={pipe}")
    await page.get_by_label("Filter by event name").fill("odd")
    await expect(rows(page)).to_have_count(1)
    await open_gate(pipe)
    await expect(part(page, "total")).to_have_text("1,002")
    await expect(rows(page)).to_have_count(MAX_ROWS)
    await page.get_by_label("Filter by event name").fill("nothing like it")
    await expect(rows(page)).to_have_count(0)


async def test_a_thousand_events_per_second_are_counted_and_the_latest_are_shown(page: Page) -> None:
    await connect(page, "/flood/")
    # The page must accept keyboard input while events arrive.
    await button(page, "Pause").press("Enter")
    await button(page, "Resume").press("Enter")
    await expect(button(page, "Pause")).to_be_visible()
    await expect(part(page, "total")).to_have_text(f"{FLOOD:,}")
    await expect(rows(page)).to_have_count(MAX_ROWS)
    events = await shown(page)
    assert [row[1] for row in events] == [f"id {number}" for number in range(FLOOD - 1, FLOOD - 1 - MAX_ROWS, -1)]
    await expect(part(page, "peak")).not_to_have_text("peak 0 a second")
    await expect(part(page, "graph")).to_have_accessible_name(re.compile(r"^Rate over the last minute: [\d,]+ events"))


# Reconnection and the end of a stream


async def test_a_stream_that_ends_is_resumed_from_its_last_event(watched: WatchedPage) -> None:
    page = watched.page
    await connect(page, "/resumed/")
    await expect(part(page, "total")).to_have_text("6")
    assert [data for *_, data in await shown(page)] == ["6", "5", "4", "3", "2", "1"]
    await expect(part(page, "reconnects")).to_have_text("2")
    await expect(part(page, "last-id")).to_have_text("6")
    await expect(part(page, "retry")).to_have_text("1 ms")
    await expect_state(page, "live", "Connected")
    assert await sent_ids(watched, "/resumed/") == [None, None, "2", "4"]  # the first request is for the page


async def test_a_last_event_id_can_be_entered(watched: WatchedPage) -> None:
    page = watched.page
    await page.goto("/resumed/")
    await page.get_by_label("Connect with last event id").fill("40")
    await button(page, "Connect").click()
    await expect(part(page, "last-id")).to_have_text("42")
    assert await sent_ids(watched, "/resumed/") == [None, "40"]


async def sent_ids(watched: WatchedPage, path: str) -> list[str | None]:
    requests = [response.request for response in watched.responses if response.url.endswith(path)]
    return [(await request.all_headers()).get("last-event-id") for request in requests]


async def test_the_console_does_not_reopen_a_finite_stream(watched: WatchedPage) -> None:
    await connect(watched.page, "/finite/")
    await expect_state(watched.page, "ended", "Ended: the server sends no more events")
    await expect(part(watched.page, "total")).to_have_text("3")  # with the event end
    await expect(button(watched.page, "Connect")).to_be_visible()
    assert watched.statuses_of("/finite/") == [200, 200]


async def test_the_console_reconnects_after_the_server_goes_away(browser: Browser) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.project.console_settings"}
    with serve(UVICORN, env=environment, cwd=ROOT) as server:
        async with watched_page(browser, base_url=server.url) as watched:
            await connect(watched.page, "/prices/")
            await expect_state(watched.page, "live", "Connected")
            await asyncio.to_thread(server.terminate)
            await expect(part(watched.page, "state")).to_contain_text("Connection lost, reconnecting in")
            await button(watched.page, "Stop").click()
            await expect_state(watched.page, "stopped", "Stopped")
            watched.errors.clear()


async def test_the_console_says_if_its_module_could_not_be_loaded(page: Page) -> None:
    await page.route("**/sse.js", lambda route: route.fulfill(status=404))
    await connect(page, "/prices/")
    await expect_state(page, "lost", "The script sse.js could not be loaded")
    await expect(button(page, "Connect")).to_be_visible()


@pytest.mark.parametrize("rewrites_imports", [False, True])
@pytest.mark.parametrize("keeps_only_hashed", [False, True])
@pytest.mark.slow
async def test_the_console_works_with_hashed_file_names(
    browser: Browser, tmp_path: Path, rewrites_imports: bool, keeps_only_hashed: bool
) -> None:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.project.console_manifest_settings",
        "TEST_STATIC_ROOT": str(tmp_path),
        "TEST_REWRITE_IMPORTS": "1" if rewrites_imports else "",
    }
    collect = [sys.executable, "-m", "django", "collectstatic", "--noinput", "--verbosity", "0"]
    await asyncio.to_thread(subprocess.run, collect, env=os.environ | environment, cwd=ROOT, check=True)
    hashed = [path for path in (tmp_path / "adrf_sse").iterdir() if re.search(r"\.[0-9a-f]{12}\.", path.name)]
    assert {path.name.split(".")[0] for path in hashed} == {"console", "sse"}
    if keeps_only_hashed:  # as WhiteNoise can do
        for path in set((tmp_path / "adrf_sse").iterdir()) - set(hashed):
            path.unlink()
    command = ["-m", "uvicorn", "tests.project.asgi:application", "--fd", "{fd}", "--log-level", "warning"]
    with serve(command, env=environment, cwd=ROOT) as server:
        async with watched_page(browser, base_url=server.url) as watched:
            await connect(watched.page, "/prices/")
            await expect_state(watched.page, "live", "Connected")
            [script] = [response.url for response in watched.responses if "/sse." in response.url]
            assert re.search(r"/adrf_sse/sse\.\w{12}\.js$", script)
            ignore_refusals(watched)


# Refusals of the server


async def test_the_console_shows_the_status_and_detail_of_a_refusal(page: Page) -> None:
    response = await page.goto("/members/")
    assert response is not None
    assert response.status == 403
    await expect(page.locator(".response-info")).to_contain_text(FORBIDDEN)
    await button(page, "Connect").click()
    await expect_state(page, "refused", "Refused: 403 Forbidden")
    await expect(part(page, "answer")).to_contain_text(f"403 Forbidden {FORBIDDEN}")
    await expect(button(page, "Connect")).to_be_visible()


async def test_events_are_shown_as_text_and_not_as_html(page: Page) -> None:
    await connect(page, "/evil/")
    await expect(part(page, "total")).to_have_text("2")
    written = json.dumps({"a": EVIL}, indent=2)
    assert await shown(page) == [["message", EVIL], [EVIL, f"id {EVIL}", written], ["comment", EVIL]]
    await expect(part(page, "last-id")).to_have_text(EVIL)
    assert await page.locator("#sse-names option").evaluate_all("all => all.map(e => e.value)") == [EVIL, "message"]
    assert await page.locator(".sse-console :is(img, script)").count() == 0


async def test_refusals_are_shown_as_text_and_not_as_html(page: Page) -> None:
    await connect(page, "/evil-refusal/")
    await expect_state(page, "refused", "Refused: 403 Forbidden")
    await expect(part(page, "answer-body")).to_have_text(json.dumps({"reason": EVIL, "others": [EVIL]}, indent=2))
    assert await page.locator(".sse-console :is(img, script)").count() == 0


# Streams opened by POST


async def test_a_form_opens_the_stream_with_its_fields(watched: WatchedPage) -> None:
    page = watched.page
    await page.goto("/ask/")
    await page.locator("[name=text]").fill("<b>Why?</b>")
    await page.locator("[name=times]").fill("2")
    await page.locator("#post-object-form").get_by_role("button", name="POST").click()
    await expect_state(page, "ended", "Ended")
    await expect(part(page, "total")).to_have_text("2")
    assert await shown(page) == [
        ["answer", '{"text": "<b>Why?</b>", "number": 1}'],
        ["answer", '{"text": "<b>Why?</b>", "number": 0}'],
    ]
    assert watched.statuses_of("/ask/") == [405, 200]


async def test_connect_submits_the_visible_form_and_shows_its_errors(page: Page) -> None:
    await page.goto("/ask/")
    await page.get_by_role("link", name="Raw data").click()
    content = page.locator("#post-generic-content-form textarea")
    await content.fill('{"text": "", "times": 0}')
    await button(page, "Connect").click()
    await expect_state(page, "refused", "Refused: 400 Bad Request")
    await expect(part(page, "answer-body")).to_contain_text("may not be blank")
    await content.fill('{"text": "Why?", "times": 1}')
    await button(page, "Connect").click()
    await expect_state(page, "ended", "Ended")
    await expect(part(page, "answer")).to_be_hidden()
    await expect(part(page, "total")).to_have_text("1")
    assert await shown(page) == [["answer", '{"text": "Why?", "number": 0}']]


async def test_a_post_request_answered_with_data_does_not_change_the_stream(page: Page) -> None:
    await connect(page, "/chat/")
    await expect(part(page, "total")).to_have_text("1")
    await page.locator("form textarea").fill('{"say": "hi"}')
    await page.locator("form").get_by_role("button", name="POST").click()
    await expect(part(page, "answer")).to_contain_text("201 Created")
    await expect(part(page, "answer-body")).to_have_text('{"posted": {"say": "hi"}}')
    await expect_state(page, "live", "Connected")
    await expect(rows(page)).to_have_count(1)


# The page around the panel


async def test_the_buttons_of_rest_framework_work_beside_the_panel(page: Page) -> None:
    await page.goto("/things/")
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()
    await page.get_by_role("button", name="Extra actions").click()
    await expect(page.get_by_role("link", name="Others")).to_be_visible()
    await page.keyboard.press("Escape")
    await button(page, "Connect").click()
    await expect(part(page, "total")).to_have_text("1")
    # This button replaces the current document.
    async with page.expect_event("requestfailed", lambda request: request.method == "GET"):
        await page.get_by_role("button", name="OPTIONS").click()
    await expect(page.locator(".response-info")).to_contain_text("A viewset whose user is always alice.")
    await expect_state(page, "idle", "Not connected")
    await button(page, "Connect").click()
    await expect(part(page, "total")).to_have_text("1")


async def test_the_panel_works_by_keyboard_and_announces_its_state_politely(page: Page) -> None:
    await page.goto("/prices/")
    await expect(button(page, "Connect")).to_be_enabled()
    await button(page, "Connect").focus()
    await page.keyboard.press("Enter")
    await expect(part(page, "total")).to_have_text("7")
    focused = "document.activeElement.dataset.sse ?? document.activeElement.className"
    order = []
    for _ in range(6):
        order.append(await page.evaluate(focused))
        await page.keyboard.press("Tab")
    assert order == ["toggle", "pause", "clear", "filter", "resume", "sse-scroller"]
    await button(page, "Pause").focus()
    await page.keyboard.press("Space")
    await expect(button(page, "Resume")).to_be_focused()
    style = await button(page, "Resume").evaluate("button => getComputedStyle(button).outlineStyle")
    assert style == "solid"
    live = page.locator(".sse-console :is([role=status], [aria-live], [role=log], [role=alert])")
    assert await live.evaluate_all("all => all.map(e => [e.dataset.sse, e.role])") == [
        ["state", "status"],
        ["answer", "status"],
    ]


@pytest.mark.parametrize(
    ("width", "scheme"),
    slow_except([(400, "dark"), (1280, "light")], itertools.product([400, 1280], ["light", "dark"])),
)
async def test_the_page_fits_its_window_and_its_text_has_enough_contrast(
    browser: Browser, server: Server, scheme: str, width: int
) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "base_url": server.url}
    async with watched_page(browser, **options) as watched:
        await connect(watched.page, "/evil/")
        await expect(part(watched.page, "total")).to_have_text("2")
        assert await watched.page.evaluate("document.documentElement.scrollWidth") == width
        for selector in ("body", ".sse-state", ".sse-rows b", ".sse-rows pre", ".sse-rows time", ".sse-primary"):
            assert await contrast(watched.page, selector) >= MIN_CONTRAST, selector
        ignore_refusals(watched)  # the favicon is missing
