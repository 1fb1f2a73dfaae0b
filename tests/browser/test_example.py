"""Tests of the example's pages in Chromium."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, expect

from tests.support.browsers import WatchedPage, watched_page
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

MESSAGES = [f"Message {number} of 5" for number in range(1, 6)]


@pytest_asyncio.fixture(loop_scope="module")
async def quick(browser: Browser, quick_server: Server) -> AsyncIterator[WatchedPage]:
    async with watched_page(browser, base_url=quick_server.url) as watched:
        yield watched
    print(quick_server.described())  # pytest shows it if the test fails


@pytest_asyncio.fixture(loop_scope="module")
async def slow(browser: Browser, slow_server: Server) -> AsyncIterator[WatchedPage]:
    async with watched_page(browser, base_url=slow_server.url) as watched:
        yield watched
    print(slow_server.described())


async def expect_state(page: Page, state: str, within: str = "main") -> None:
    await expect(page.locator(f"{within} .state")).to_have_attribute("data-state", state)


async def toggle(page: Page, card: str) -> None:
    await page.locator(f"{card} [data-toggle]").click()


async def log_in(page: Page) -> None:
    """Log in on the login page, and wait for the page that it leads to."""
    await page.get_by_label("Username").fill("demo")
    await page.get_by_label("Password").fill("demo")
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda url: "/login/" not in url)


# The index


async def test_index_shows_the_messages_of_both_views(quick: WatchedPage) -> None:
    await quick.page.goto("/")
    for card in ("#test", "#test2"):
        await expect(quick.page.locator(f"{card} .log .data")).to_have_text(MESSAGES)
        await expect_state(quick.page, "ended", card)


async def test_index_shows_the_first_message_before_the_second_exists(slow: WatchedPage) -> None:
    await slow.page.goto("/")
    for card in ("#test", "#test2"):
        await expect(slow.page.locator(f"{card} .log .data")).to_have_text(MESSAGES[:1])
        await expect_state(slow.page, "live", card)


async def test_index_opens_at_most_four_streams_at_once(slow: WatchedPage) -> None:
    page = slow.page
    await page.goto("/")
    await expect(page.locator("[data-count]")).to_have_text("3")
    await toggle(page, "#countdown")
    await expect_state(page, "live", "#countdown")
    await expect(page.locator("[data-count]")).to_have_text("4")
    await toggle(page, "#progress-jobs")
    await expect_state(page, "live", "#progress-jobs")
    await expect_state(page, "displaced", "#test")
    await expect(page.locator("[data-count]")).to_have_text("4")


async def test_index_stops_and_restarts_a_stream(slow: WatchedPage) -> None:
    page, card = slow.page, "#news-and-weather"
    await page.goto("/")
    await expect(page.locator(f"{card} .log p")).to_have_count(2)
    await page.get_by_role("button", name="Stop News and weather").click()
    await expect_state(page, "stopped", card)
    await page.get_by_role("button", name="Start News and weather").click()
    await expect_state(page, "live", card)
    await expect(page.locator(f"{card} .log p")).to_have_count(2)


async def test_index_shows_every_stream(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/")
    for card, last in [
        ("#countdown", "Blastoff!"),
        ("#countdown-sync", "Blastoff!"),
        ("#progress-jobs", "100"),
        ("#assistant-runs", '{"status":"completed"}'),
    ]:
        await toggle(page, card)
        await expect(page.locator(f"{card} .log p").last).to_contain_text(last)
        await expect_state(page, "ended", card)
    await expect_state(page, "live", "#news-and-weather")


async def test_index_shows_that_an_anonymous_user_is_refused(quick: WatchedPage) -> None:
    await quick.page.goto("/")
    await toggle(quick.page, "#members")
    await expect_state(quick.page, "refused", "#members")
    await expect(quick.page.locator("#members").get_by_role("link", name="Log in")).to_be_visible()
    assert quick.statuses_of("/members/events/") == [403]
    assert [error for error in quick.errors if "status of 403" not in error] == []
    quick.errors.clear()


# Streams that end


@pytest.mark.parametrize("path", ["/countdown/", "/countdown/sync/"])
async def test_countdown_ends_with_blastoff_and_is_not_requested_again(quick: WatchedPage, path: str) -> None:
    page = quick.page
    await page.goto(path)
    await expect(page.locator("[data-dial]")).to_have_text("Blastoff!")
    await expect_state(page, "ended")
    assert quick.statuses_of("/events/") == [200]
    await expect(page.locator("[data-dial]")).to_have_text("Blastoff!")


async def test_countdown_shows_the_first_number_before_the_second_exists(slow: WatchedPage) -> None:
    await slow.page.goto("/countdown/")
    await expect(slow.page.locator("[data-dial]")).to_have_text("10")


async def test_countdown_can_be_restarted(quick: WatchedPage) -> None:
    await quick.page.goto("/countdown/")
    await expect_state(quick.page, "ended")
    await quick.page.get_by_role("button", name="Count down again").click()
    await expect_state(quick.page, "ended")
    assert quick.statuses_of("/events/") == [200, 200]
    await expect(quick.page.locator("[data-dial]")).to_have_text("Blastoff!")


async def test_progress_bar_fills_and_the_stream_is_not_requested_again(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/progress/")
    await page.get_by_role("button", name="Start a job").click()
    await expect(page.locator("output")).to_have_text("Done")
    await expect_state(page, "ended")
    await expect(page.get_by_label("Progress of the job")).to_have_js_property("value", 100)
    assert quick.statuses_of("/events/") == [200]
    assert quick.statuses_of("/progress/jobs/") == [201]
    await expect(page.get_by_role("button", name="Start a job")).to_be_enabled()


async def test_progress_of_a_job_is_shown_again_after_a_reload_and_in_another_window(slow: WatchedPage) -> None:
    page = slow.page
    await page.goto("/progress/")
    await page.get_by_role("button", name="Start a job").click()
    await expect_state(page, "live")
    await page.reload()
    await expect_state(page, "live")
    await expect(page.get_by_role("button", name="Start a job")).to_be_disabled()
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect_state(other, "live")
    assert slow.statuses_of("/progress/jobs/") == [201]
    assert len(set(slow.urls_of("/events/"))) == 1


async def test_a_finished_job_is_shown_after_a_reload_and_another_one_can_be_started(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/progress/")
    for _ in range(2):
        before = page.url
        await page.get_by_role("button", name="Start a job").click()
        await expect(page).not_to_have_url(before)  # the page shows the new job, and no longer the state of the old one
        await expect_state(page, "ended")
        await page.reload()
        await expect(page.locator("output")).to_have_text("Done")
        await expect_state(page, "ended")
    assert quick.statuses_of("/progress/jobs/") == [201, 201]


async def test_the_page_says_that_a_job_is_unknown(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/progress/?job=none")
    await expect(page.get_by_text("The server no longer knows this job")).to_be_visible()
    await page.get_by_role("button", name="Start a job").click()
    await expect(page.locator("output")).to_have_text("Done")
    await expect(page.get_by_text("The server no longer knows this job")).to_be_hidden()


# Endless streams


async def test_news_and_weather_are_shown_in_separate_lists(quick: WatchedPage) -> None:
    await quick.page.goto("/news-and-weather/")
    await expect(quick.page.locator("[data-feed=news] li")).to_have_count(6)
    await expect(quick.page.locator("[data-feed=weather] li")).to_have_count(6)
    # The lists grow a hundred times a second and move the button, so press it with the keyboard.
    await quick.page.get_by_role("button", name="Stop").press("Enter")
    await expect_state(quick.page, "stopped")


async def test_a_page_closes_its_stream_when_left_and_reopens_it_when_restored(slow: WatchedPage) -> None:
    page = slow.page
    await page.goto("/news-and-weather/")
    await expect_state(page, "live")
    async with page.expect_event("requestfailed", is_of_stream):
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await expect_state(page, "stopped")
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await expect_state(page, "live")


def is_of_stream(request: Request) -> bool:
    return request.url.endswith("/events/")


# Members


async def test_an_anonymous_user_logs_in_and_receives_a_greeting(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/members/")
    await expect(page.get_by_text("You are not logged in")).to_be_visible()
    assert quick.statuses_of("/events/") == []
    await page.get_by_role("link", name="Log in to see it").click()
    await log_in(page)
    await expect(page.locator("[data-greeting]")).to_have_text("Hello, demo!")
    await expect(page.locator("[data-time]")).to_contain_text("UTC")
    await expect_state(page, "live")


async def test_a_member_can_start_a_job_and_log_out(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/login/?next=/progress/")
    await log_in(page)
    await page.get_by_role("button", name="Start a job").click()
    await expect(page.locator("output")).to_have_text("Done")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_text("You are not logged in")).to_be_visible()


async def test_the_page_for_members_says_that_its_user_has_logged_out_in_another_tab(slow: WatchedPage) -> None:
    page = slow.page
    await page.goto("/login/?next=/members/")
    await log_in(page)
    await expect(page.locator("[data-greeting]")).to_have_text("Hello, demo!")
    other = await page.context.new_page()
    await other.goto("/")
    await other.get_by_role("button", name="Log out").click()
    await expect(page.get_by_text("You are no longer logged in")).to_be_visible()
    await expect(page.locator("[data-greeting]")).to_be_hidden()
    assert slow.statuses_of("/events/") == [200, 403]
    slow.errors[:] = [error for error in slow.errors if "status of 403" not in error]
    await page.get_by_role("link", name="Log in again").click()
    await log_in(page)
    await expect(page.locator("[data-greeting]")).to_have_text("Hello, demo!")


# API, metrics and source


async def test_the_index_links_to_the_api_with_an_example_of_an_event(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/")
    await page.get_by_role("link", name="API", exact=True).click()
    operation = page.locator(".opblock", has_text="/progress/jobs/{id}/events/")
    await operation.get_by_role("button").first.click()
    await expect(operation.locator(".example").first).to_contain_text('"event": "progress"')
    assert {urlsplit(response.url).netloc for response in quick.responses if "data:" not in response.url} == {
        urlsplit(page.url).netloc
    }


async def test_the_index_links_to_the_metrics(quick: WatchedPage) -> None:
    await quick.page.goto("/")
    await quick.page.get_by_role("link", name="Metrics").click()
    await expect(quick.page.locator("body")).to_contain_text("adrf_sse_")


async def test_a_card_links_to_its_source(quick: WatchedPage) -> None:
    await quick.page.goto("/")
    await quick.page.get_by_role("link", name="Source of Stock adrf view").click()
    await expect(quick.page.get_by_role("region", name="messages.py")).to_contain_text("return Response(messages())")


# Consoles


async def test_every_console_on_the_index_shows_its_stream(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/login/?next=/")
    await log_in(page)
    links = page.get_by_role("link", name="Console of")
    urls = await links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(urls) == await page.locator("[data-card]").count() - 3  # a job, a run and a plain Django view have none
    for url in urls:
        await page.goto(url)
        await page.get_by_role("button", name="Connect").click()
        await expect(page.locator("[data-sse=state]")).to_have_attribute("data-state", re.compile("^(live|ended)$"))


async def test_the_index_links_to_consoles_and_a_form_opens_a_stream(quick: WatchedPage) -> None:
    page = quick.page
    await page.goto("/")
    await page.get_by_role("link", name="Console of Countdown").click()
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("[data-sse=state]")).to_have_attribute("data-state", "ended")
    await expect(page.locator("[data-sse=total]")).to_have_text("12")
    await page.goto("/words/")
    await page.locator("[name=text]").fill("to be")
    await page.locator("#post-object-form").get_by_role("button", name="POST").click()
    await expect(page.locator("[data-sse=state]")).to_have_text("Ended")
    await expect(page.locator("[data-sse=rows] pre")).to_have_text(["{}", '{"word": "be"}', '{"word": "to"}'])
    assert quick.statuses_of("/words/") == [405, 200]
    quick.errors[:] = [error for error in quick.errors if "responded with a status of" not in error]
