"""Tests of the example's assistant in Chromium: a page whose answers are runs."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from adrf_sse.testing import EventParser
from tests.support.browsers import MIN_CONTRAST, WatchedPage, contrast, watched_page
from tests.support.example import serve_example
from tests.support.redis_server import RedisServer
from tests.support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

RUNS = "/assistant/runs/"
JSON = {"Accept": "application/json"}
QUESTION = "Why is the sky blue?"
LONG_QUESTION = " ".join(f"word{number}" for number in range(120))
"""A question whose answer takes longer than any test, if the model says five words in a second."""
STOPPED = "The model has stopped"
"""What the server prints when the model has stopped."""


@dataclass
class Windows:
    """Windows of the assistant, each with a browser context of its own."""

    browser: Browser
    server: Server
    stack: AsyncExitStack

    async def open(self, path: str = "/assistant/", **options: Any) -> WatchedPage:
        window = await self.stack.enter_async_context(watched_page(self.browser, base_url=self.server.url, **options))
        await window.page.goto(path)
        return window

    async def ask(self, question: str = QUESTION, **options: Any) -> WatchedPage:
        """Open a window and ask a question in it. The address then contains the run's ID."""
        window = await self.open(**options)
        await ask(window.page, question)
        await expect(window.page).to_have_url(re.compile(r"\?run="))
        return window


@pytest.fixture(scope="module")
def talking_server(example_database: Path) -> Iterator[Server]:
    """The example with a model that says five words in a second."""
    with serve_example(example_database, 1) as server:
        yield server


@pytest.fixture(scope="module")
def redis_talking_server(example_database: Path, shared_redis: RedisServer) -> Iterator[Server]:
    """A process of the example that shares Redis with others. The model says five words in a second."""
    with serve_example(example_database, 1, redis_url=shared_redis.url) as server:
        yield server


@pytest.fixture
def other_server(example_database: Path, shared_redis: RedisServer) -> Iterator[Server]:
    """Another process, which the test may terminate."""
    with serve_example(example_database, 1, redis_url=shared_redis.url) as server:
        yield server


async def windows_of(browser: Browser, server: Server) -> AsyncIterator[Windows]:
    async with AsyncExitStack() as stack:
        yield Windows(browser, server, stack)
    print(server.described())  # pytest shows it if the test fails


@pytest_asyncio.fixture(loop_scope="module")
async def quick(browser: Browser, quick_server: Server) -> AsyncIterator[Windows]:
    async for windows in windows_of(browser, quick_server):
        yield windows


@pytest_asyncio.fixture(loop_scope="module")
async def slow(browser: Browser, slow_server: Server) -> AsyncIterator[Windows]:
    """Windows of a server whose model never says a second word."""
    async for windows in windows_of(browser, slow_server):
        yield windows


@pytest_asyncio.fixture(loop_scope="module")
async def talking(browser: Browser, talking_server: Server) -> AsyncIterator[Windows]:
    async for windows in windows_of(browser, talking_server):
        yield windows


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.get_by_role("button", name="Ask").click()


async def expect_state(page: Page, state: str) -> None:
    await expect(page.locator("main .state")).to_have_attribute("data-state", state)


async def expect_words(page: Page, at_least: int) -> int:
    """Wait until the answer has ``at_least`` words, and return how many it has."""
    await expect(page.get_by_role("log")).to_have_text(re.compile(rf"^(\S+\s+){{{at_least - 1},}}\S+"))
    return len(await shown_words(page))


async def expect_problem(page: Page, text: str) -> None:
    await expect(page.get_by_role("alert")).to_contain_text(text)


async def shown_words(page: Page) -> list[str]:
    return (await page.get_by_role("log").inner_text()).split()


def run_id(page: Page) -> str:
    return parse_qs(urlsplit(page.url).query)["run"][0]


async def state_of(page: Page) -> dict[str, Any]:
    """Return the state of the run that a page shows, as the server knows it."""
    response = await page.request.get(f"{RUNS}{run_id(page)}/", headers=JSON)
    state: dict[str, Any] = await response.json()
    return state


async def said_words(page: Page) -> list[str]:
    """Return the words of a run that has ended, as the server sends them."""
    response = await page.request.get(f"{RUNS}{run_id(page)}/", headers={"Accept": "text/event-stream"})
    events = EventParser().feed(await response.body())
    return [re.fullmatch(r'\{"text":"(.*)"\}', event.data)[1] for event in events if event.event == "word"]


def starts_of(window: WatchedPage) -> list[int]:
    """Return the status of each request that started a run."""
    return [each.status for each in window.responses if each.request.method == "POST" and each.url.endswith(RUNS)]


def ignore(window: WatchedPage, text: str) -> None:
    """Accept that Chromium reported a refused or broken request."""
    window.errors[:] = [error for error in window.errors if text not in error]


# An answer


async def test_the_first_word_is_shown_before_the_second_exists(slow: Windows) -> None:
    page = (await slow.ask()).page
    await expect(page.get_by_role("log")).to_have_text("Let")
    await expect(page.get_by_role("log")).to_have_attribute("aria-busy", "true")
    await expect(page.get_by_text(QUESTION, exact=True)).to_be_visible()
    await expect_state(page, "live")


RECORD = """() => {
    window.added = [];
    new MutationObserver(changes => {
        for (const {addedNodes} of changes) for (const node of addedNodes) window.added.push(node.textContent.trim());
    }).observe(document.querySelector("[role=log]"), {childList: true});
}"""


async def test_an_answer_is_shown_word_by_word_to_its_end(quick: Windows) -> None:
    window = await quick.open()
    page = window.page
    await page.evaluate(RECORD)
    await ask(page, QUESTION)
    await expect_state(page, "completed")
    words = await said_words(page)
    assert words[:5] == ["Let", "me", "think", "about", "“Why"]
    assert await shown_words(page) == words
    assert await page.evaluate("window.added") == words
    await expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert starts_of(window) == [202]
    assert window.statuses_of(f"{RUNS}{run_id(page)}/") == [200], "an answer that has ended is not requested again"


async def test_markup_in_a_question_is_shown_as_text(quick: Windows) -> None:
    page = (await quick.ask("<b>bold</b> & <i>so on</i>")).page
    await expect_state(page, "completed")
    await expect(page.get_by_text("<b>bold</b> & <i>so on</i>", exact=True)).to_be_visible()
    await expect(page.get_by_role("log")).to_contain_text("<b>bold</b> &")


async def test_an_answer_that_has_ended_is_shown_after_a_reload_and_another_question_can_be_asked(
    quick: Windows,
) -> None:
    window = await quick.ask()
    page = window.page
    await expect_state(page, "completed")
    first = await shown_words(page)
    await page.reload()
    await expect_state(page, "completed")
    assert await shown_words(page) == first
    before = page.url
    await ask(page, "And at night?")
    await expect(page).not_to_have_url(before)
    await expect_state(page, "completed")
    assert await shown_words(page) == await said_words(page) != first
    await page.go_back()
    await expect(page.get_by_text(QUESTION, exact=True)).to_be_visible()
    await expect_state(page, "completed")
    assert await shown_words(page) == first
    assert starts_of(window) == [202, 202]


# Runs outlive the page


async def test_a_reload_in_the_middle_goes_on_and_starts_no_second_run(talking: Windows) -> None:
    window = await talking.ask(LONG_QUESTION)
    page = window.page
    before = await expect_words(page, 3)
    await page.reload()
    await expect(page.get_by_text(LONG_QUESTION, exact=True)).to_be_visible()
    await expect_words(page, before + 3)
    await expect_state(page, "live")
    assert (await state_of(page))["status"] == "running"
    await page.get_by_role("button", name="Stop").click()
    await expect_state(page, "stopped")
    assert await shown_words(page) == await said_words(page)
    assert starts_of(window) == [202]


async def test_a_second_window_shows_the_same_and_stop_stops_the_model_and_both_windows(talking: Windows) -> None:
    first = await talking.ask(LONG_QUESTION)
    second = await talking.open(first.page.url)
    for window in (first, second):
        await expect(window.page.get_by_text(LONG_QUESTION, exact=True)).to_be_visible()
        await expect_words(window.page, 3)
    printed = talking.server.output.count(STOPPED)
    await second.page.get_by_role("button", name="Stop").click()
    for window in (first, second):
        await expect_state(window.page, "stopped")
        await expect(window.page.get_by_role("button", name="Stop")).to_be_hidden()
    state, words = await state_of(first.page), await said_words(first.page)
    assert (state["status"], state["events"]) == ("stopped", 1 + len(words))
    assert await shown_words(first.page) == await shown_words(second.page) == words
    await asyncio.to_thread(talking.server.wait_for_count, STOPPED, printed + 1)
    assert starts_of(second) == []


async def test_a_page_that_the_browser_restores_goes_on_where_it_was(talking: Windows) -> None:
    page = (await talking.ask(LONG_QUESTION)).page
    before = await expect_words(page, 3)
    async with page.expect_event("requestfailed", lambda request: RUNS in request.url):
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await expect_words(page, before + 3)
    await page.keyboard.press("Escape")
    await expect_state(page, "stopped")
    assert await shown_words(page) == await said_words(page)


async def test_a_question_whose_response_was_lost_can_be_asked_again_and_starts_no_second_run(slow: Windows) -> None:
    window = await slow.open()
    page, started = window.page, []

    async def lose(route: Route) -> None:
        started.append(await (await route.fetch()).json())
        await route.abort()

    await page.route(f"**{RUNS}", lose)
    await ask(page, QUESTION)
    await expect_problem(page, "be reached. Try again.")
    await page.unroute(f"**{RUNS}")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.get_by_role("log")).to_have_text("Let")
    assert [run["id"] for run in started] == [run_id(page)]
    await expect(page.get_by_role("alert")).to_be_hidden()
    ignore(window, "net::ERR_FAILED")


async def test_a_reload_before_the_response_starts_no_second_run(slow: Windows) -> None:
    window = await slow.open()
    page, started, arrived = window.page, [], asyncio.Event()

    async def hold_first(route: Route) -> None:
        if arrived.is_set():
            return await route.continue_()
        started.append(await (await route.fetch()).json())
        arrived.set()  # the page never gets this response

    await page.route(f"**{RUNS}", hold_first)
    await ask(page, QUESTION)
    await arrived.wait()
    await page.reload()
    await expect(page.get_by_role("log")).to_have_text("Let")
    assert [run["id"] for run in started] == [run_id(page)]


async def test_a_member_can_ask_and_stop_and_nobody_else_can_read_the_answer(slow: Windows) -> None:
    member = await slow.open("/login/?next=/assistant/")
    await member.page.get_by_label("Username").fill("demo")
    await member.page.get_by_label("Password").fill("demo")
    await member.page.get_by_role("button", name="Log in").click()
    await ask(member.page, QUESTION)
    await expect(member.page.get_by_role("log")).to_have_text("Let")
    stranger = await slow.open(member.page.url)
    await expect_problem(stranger.page, "The server has no such answer for you.")
    ignore(stranger, "status of 404")
    await member.page.get_by_role("button", name="Stop").click()
    await expect_state(member.page, "stopped")
    assert (await state_of(member.page))["status"] == "stopped"


# Errors


async def test_the_page_says_that_an_answer_is_unknown(quick: Windows) -> None:
    window = await quick.open("/assistant/?run=none")
    await expect_problem(window.page, "The server has no such answer for you.")
    await expect_state(window.page, "refused")
    ignore(window, "status of 404")
    await ask(window.page, QUESTION)
    await expect_state(window.page, "completed")
    await expect(window.page.get_by_role("alert")).to_be_hidden()


async def test_the_page_says_that_the_model_has_failed(quick: Windows) -> None:
    page = (await quick.ask("Please fail now")).page
    await expect_problem(page, "The assistant has failed.")
    await expect_state(page, "failed")
    assert await shown_words(page) == await said_words(page)
    await page.reload()
    await expect_problem(page, "The assistant has failed.")


async def test_the_page_shows_why_a_question_was_refused(quick: Windows) -> None:
    window = await quick.open()
    await ask(window.page, " ")
    await expect_problem(window.page, "This field may not be blank.")
    ignore(window, "status of 400")
    await window.page.reload()
    await expect_state(window.page, "idle")
    assert starts_of(window) == [400], "a question that was refused is not asked again"


@pytest.mark.slow
async def test_the_page_says_that_the_server_has_too_many_runs_and_the_question_can_be_asked_again(
    slow: Windows,
) -> None:
    window = await slow.open()
    async with httpx.AsyncClient(base_url=slow.server.url, headers=JSON, timeout=60) as client:
        runs = []
        while (response := await client.post(RUNS, json={"prompt": "a"})).status_code == 202:
            runs.append(response.headers["Location"])
        assert response.status_code == 503
        await ask(window.page, QUESTION)
        await expect_problem(window.page, "Too many runs are active. Try again later.")
        for run in runs:
            await client.delete(run)
    ignore(window, "status of 503")
    await window.page.get_by_role("button", name="Ask").click()
    await expect(window.page.get_by_role("log")).to_have_text("Let")


async def test_the_page_shows_that_a_run_is_already_active(slow: Windows) -> None:
    # Only a project that chooses the IDs of its runs responds in this way.
    window = await slow.open()
    await window.page.route(
        f"**{RUNS}", lambda route: route.fulfill(status=409, json={"detail": "This run is already active."})
    )
    await ask(window.page, QUESTION)
    await expect_problem(window.page, "This run is already active.")
    ignore(window, "status of 409")


# With a keyboard, on a phone, in the dark


async def test_the_assistant_can_be_used_with_the_keyboard_alone(slow: Windows) -> None:
    page = (await slow.open()).page
    question, stop = page.get_by_label("Your question"), page.get_by_role("button", name="Stop")
    while not await question.evaluate("field => field === document.activeElement"):
        await page.keyboard.press("Tab")
    await page.keyboard.type(QUESTION)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_have_text("Let")
    await expect(question).to_be_focused()
    await page.keyboard.press("Escape")
    await expect_state(page, "stopped")
    await page.keyboard.type("Again")
    await page.keyboard.press("Enter")
    await expect(stop).to_be_visible()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await expect(stop).to_be_focused()
    await page.keyboard.press("Enter")
    await expect_state(page, "stopped")
    await expect(question).to_be_focused()
    assert await page.locator("main :is([role=status], [role=log], [role=alert])").count() == 3


async def test_enter_asks_nothing_while_an_answer_is_being_written(slow: Windows) -> None:
    window = await slow.ask()
    page = window.page
    await expect(page.get_by_role("log")).to_have_text("Let")
    await page.get_by_label("Your question").fill("Another")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect_state(page, "stopped")
    await expect(page.get_by_label("Your question")).to_have_value("Another")
    assert starts_of(window) == [202]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
async def test_the_page_fits_its_window_and_its_text_has_enough_contrast(
    slow: Windows, scheme: Any, width: int
) -> None:
    window = await slow.ask("W" * 900, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = window.page
    await expect(page.get_by_role("log")).to_have_text("Let")
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await expect(page.get_by_role("button", name="Stop")).to_be_in_viewport(ratio=1)
    for selector in (".question", ".answer", ".talk h2", ".state", "[data-stop]", ".note p", "[name=prompt]"):
        assert await contrast(page, selector) >= MIN_CONTRAST, selector
    await page.keyboard.press("Escape")
    await expect_state(page, "stopped")
    assert await contrast(page, "[type=submit]") >= MIN_CONTRAST


# With Redis and two processes


@pytest.mark.slow
async def test_a_window_of_another_process_follows_and_stops_an_answer(
    browser: Browser, redis_talking_server: Server, other_server: Server
) -> None:
    async with AsyncExitStack() as stack:
        first = await Windows(browser, other_server, stack).ask(LONG_QUESTION)
        second = await Windows(browser, redis_talking_server, stack).open(f"/assistant/?run={run_id(first.page)}")
        before = await expect_words(second.page, 3)
        await second.page.reload()
        await expect_words(second.page, before + 3)
        await second.page.get_by_role("button", name="Stop").click()
        for window in (first, second):
            await expect_state(window.page, "stopped")
        await asyncio.to_thread(other_server.wait_for, STOPPED)
        words = await said_words(second.page)
        assert await shown_words(first.page) == await shown_words(second.page) == words
        assert (await state_of(first.page))["status"] == "stopped"


@pytest.mark.slow
async def test_the_page_says_that_the_server_that_wrote_an_answer_has_stopped(
    browser: Browser, redis_talking_server: Server, other_server: Server
) -> None:
    async with AsyncExitStack() as stack:
        first = await Windows(browser, other_server, stack).ask(LONG_QUESTION)
        second = await Windows(browser, redis_talking_server, stack).open(f"/assistant/?run={run_id(first.page)}")
        await expect_words(second.page, 3)
        await first.page.close()
        other_server.terminate()
        await expect_problem(second.page, "The answer was lost")
        await expect_state(second.page, "lost")
        assert await shown_words(second.page) == await said_words(second.page)
