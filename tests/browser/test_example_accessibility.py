"""Each page of the example in Chromium with axe-core, in a narrow window, in dark mode and with the keyboard alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.test_example import log_in
from tests.support.browsers import WatchedPage, watched_page
from tests.support.node import MODULES, require_node
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

PAGES = {
    "/": "#test .log p",
    "/countdown/": "[data-state=live]",
    "/news-and-weather/": "[data-feed=weather] li",
    "/progress/?job=none": "[data-unknown]",
    "/members/": ".welcome",
    "/login/": "form",
    "/chat/": "[data-state=live]",
    "/orders/": "[data-state=live]",
    "/assistant/": "[data-state=idle]",
    "/source/countdown/": "pre",
}
"""Paths, and what each page shows when it has loaded."""
NARROW, WIDE = {"width": 320, "height": 640}, {"width": 1280, "height": 800}

AXE_CORE = MODULES / "axe-core" / "axe.min.js"
AXE = """async () => (await axe.run()).violations.map(
    ({id, help, nodes}) => `${id}: ${help}: ${nodes.map(({html}) => html).join(", ")}`)"""


@asynccontextmanager
async def opened(browser: Browser, server: Server, path: str, **options: Any) -> AsyncIterator[WatchedPage]:
    # Text that fades in has less contrast until the animation has ended.
    async with watched_page(browser, base_url=server.url, reduced_motion="reduce", **options) as window:
        await window.page.goto(path)
        await expect(window.page.locator(PAGES[path]).first).to_be_visible()
        yield window
    print(server.described())  # pytest shows it if the test fails


async def found_by_axe(page: Page) -> list[str]:
    violations: list[str] = await page.evaluate(AXE)
    return violations


async def fits(page: Page) -> bool:
    """Return whether the page needs no horizontal scrolling."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("path", PAGES)
async def test_axe_finds_nothing_and_the_page_fits_a_narrow_window_and_the_tab_key_reaches_every_control(
    browser: Browser, slow_server: Server, path: str
) -> None:
    require_node()
    async with opened(browser, slow_server, path, viewport=WIDE) as window:
        page = window.page
        await check(page)
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size(NARROW)
        await check(page)
        assert await page.evaluate("document.getAnimations().length") == 0
        await check_keyboard(page)


async def test_axe_finds_nothing_while_the_pages_are_used(browser: Browser, slow_server: Server) -> None:
    require_node()
    async with opened(browser, slow_server, "/login/", viewport=NARROW, color_scheme="dark") as window:
        page = window.page
        await log_in(page)
        await expect(page.locator("[data-greeting]")).to_have_text("Hello, demo!")
        await check(page)
        await page.goto("/orders/")
        await expect(page.locator(PAGES["/orders/"])).to_be_visible()
        await page.get_by_label("Item").fill("W" * 60)
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-change]")).to_have_text(f"{'W' * 60}: new")
        await check(page)
        await page.goto("/chat/")
        await page.get_by_label("Message", exact=True).fill("W" * 60)
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-messages] .text")).to_have_text("W" * 60)
        await check(page)
        await page.goto("/assistant/")
        await page.get_by_label("Your question").fill("W" * 60)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_have_text("Let")
        await check(page)


async def check(page: Page) -> None:
    await page.evaluate(AXE_CORE.read_text())
    assert await found_by_axe(page) == []
    assert await fits(page)


# The keyboard

CONTROLS = """() => {
    const controls = [...document.querySelectorAll("a[href], button, input, select, [tabindex]")]
        .filter(control => control.checkVisibility() && !control.disabled);
    window.focused = [];
    document.addEventListener("focusin", ({target}) => {
        const {outlineStyle, outlineWidth} = getComputedStyle(target);
        window.focused.push(`${controls.indexOf(target)} ${outlineStyle} ${outlineWidth}`);
    });
    return [controls.length, controls.indexOf(document.activeElement) + 1];
}"""


async def check_keyboard(page: Page) -> None:
    """Assert that the key Tab reaches every control in order, and that the focus is visible."""
    count, first = await page.evaluate(CONTROLS)  # the login page has moved the focus to its first field
    assert first < count - 1
    for _ in range(first, count):
        await page.keyboard.press("Tab")
    focused = await page.wait_for_function("count => focused.length >= count && focused", arg=count - first)
    assert await focused.json_value() == [f"{number} solid 3px" for number in range(first, count)]


async def test_the_skip_link_leads_past_the_header(browser: Browser, slow_server: Server) -> None:
    async with opened(browser, slow_server, "/countdown/") as window:
        await window.page.keyboard.press("Tab")
        await expect(window.page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        await window.page.keyboard.press("Enter")
        await window.page.keyboard.press("Tab")
        await expect(window.page.get_by_role("link", name="All streams")).to_be_focused()


async def test_a_button_keeps_the_focus_while_it_can_not_be_pressed(browser: Browser, slow_server: Server) -> None:
    async with opened(browser, slow_server, "/progress/?job=none") as window:
        button = window.page.get_by_role("button", name="Start a job")
        await button.press("Enter")
        await expect(window.page.locator("[data-state=live]")).to_be_visible()
        await expect(button).to_be_disabled()
        await expect(button).to_be_focused()
        await button.press("Enter")  # does nothing
        assert window.statuses_of("/progress/jobs/") == [201]
