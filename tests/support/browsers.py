"""A headless Chromium for tests."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, async_playwright, expect

from tests.support.programs import missing

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]

TIMEOUT = 30_000
"""Milliseconds that a test waits for an expected change. A working page needs far less."""

MIN_CONTRAST = 4.5
"""The contrast that WCAG demands between a text and its background."""

expect.set_options(timeout=TIMEOUT)


def require_chromium() -> None:
    """Skip the test if Chromium is missing, or fail it if ``ADRF_SSE_REQUIRE_ALL=1`` is set."""
    if not CHROMIUM.exists():
        missing(f"Chromium is not at {CHROMIUM}: apt install chromium")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Chromium, or skip or fail the test if it is missing."""
    require_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def chromium_with_preferences(
    folder: Path, preferences: Any, *arguments: str, **options: Any
) -> AsyncIterator[BrowserContext]:
    """Run Chromium with the user's ``preferences``, which it stores in ``folder``."""
    require_chromium()
    (folder / "Default").mkdir()
    (folder / "Default" / "Preferences").write_text(json.dumps(preferences))
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments], **options
        )
        try:
            yield context
        finally:
            await context.close()


@asynccontextmanager
async def watched_page(browser: Browser, **options: Any) -> AsyncIterator["WatchedPage"]:
    """Open a page in a new browser context with ``options``, and assert on exit that it reported no error."""
    context = await browser.new_context(**options)
    try:
        watched = WatchedPage(await context.new_page())
        yield watched
        assert not watched.errors, watched.errors
    finally:
        await context.close()


class WatchedPage:
    """Record the errors and the responses of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.responses: list[Response] = []
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note_error)
        page.on("response", lambda response: self.responses.append(response))

    def _note_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

    def statuses_of(self, path: str) -> list[int]:
        """Return the status of each response whose URL ends with ``path``, in order."""
        return [response.status for response in self.responses if response.url.endswith(path)]

    def urls_of(self, path: str) -> list[str]:
        """Return the URL of each response that ends with ``path``, in order."""
        return [response.url for response in self.responses if response.url.endswith(path)]


async def contrast(page: Page, selector: str) -> float:
    """Return the contrast between the text of an element and its background, from 1 to 21."""
    return float(await page.evaluate(_CONTRAST, selector))


_CONTRAST = """selector => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const luminance = color => {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const element = document.querySelector(selector);
    let behind = element;
    while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    const ground = behind ? getComputedStyle(behind).backgroundColor : "white";
    const [low, high] = [luminance(getComputedStyle(element).color), luminance(ground)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""
