"""htmx 2, htmx 4, Turbo and Datastar read streams in Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.protocols.prompts import FAILING, WHOLE
from tests.support.browsers import WatchedPage, chromium, watched_page
from tests.support.node import require_node

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGES = {"htmx2": "closed: message", "htmx4": "closed: message", "turbo": "closed", "datastar": "closed"}
"""Each page, and its title after the client has ended its connection for good."""
STATUSES = {"htmx2": [200], "htmx4": [200], "turbo": [200, 204], "datastar": [200]}
"""The responses that the client gets until then."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_node()
    async with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, protocols_server):
    @asynccontextmanager
    async def opened(name: str, text: str) -> AsyncIterator[WatchedPage]:
        async with watched_page(browser, base_url=protocols_server.url) as watched:
            await watched.page.goto(f"/pages/{name}/?text={quote(text)}")
            yield watched

    return opened


def statuses(watched):
    return [response.status for response in watched.responses if "/protocols/" in response.url]


@pytest.mark.parametrize("name", PAGES)
async def test_a_whole_stream(opened, name):
    async with opened(name, WHOLE) as watched:
        await expect(watched.page.locator("li")).to_have_text(["one", "pause", "two"])
        await expect(watched.page).to_have_title(PAGES[name])
        assert statuses(watched) == STATUSES[name]


@pytest.mark.parametrize("name", PAGES)
async def test_an_error_is_a_fragment_and_the_end(opened, name):
    async with opened(name, FAILING) as watched:
        await expect(watched.page.locator("li")).to_have_text(["one", "The model has failed."])
        await expect(watched.page).to_have_title(PAGES[name])
        assert statuses(watched) == STATUSES[name]


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_that_is_left_stops_the_model(opened, name, endless_prompt, wait_until_stopped):
    async with opened(name, endless_prompt) as watched:
        await expect(watched.page.locator("li")).to_have_text(["one"])
        await watched.page.goto("about:blank")
    wait_until_stopped(endless_prompt)


@pytest.mark.parametrize("name", PAGES)
async def test_line_breaks_and_markup_in_a_word_are_text(opened, name):
    async with opened(name, "one\nselector:ul\n\nevent:end\n<b>") as watched:
        await expect(watched.page.locator("li")).to_have_text(["one selector:ul event:end <b>"])
        await expect(watched.page).to_have_title(PAGES[name])
