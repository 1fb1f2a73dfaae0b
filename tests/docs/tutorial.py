"""The project of the tutorial, which how-to pages continue, and what a reader does with it in a browser."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from playwright.async_api import Browser, Page, expect

from tests.docs.examples import Block, code_blocks
from tests.docs.reader import FILE, Reader

PAGES = ["tutorial/live-page.md", "tutorial/permissions.md", "tutorial/channel.md"]
PREPARES = re.compile(r"^\$ (django-admin|python manage\.py (startapp|makemigrations|migrate|shell|drf_create_token))")
Save = tuple[str, list[str]]
"""The primary key of an order, and the statuses that the admin gives it."""


def finish_tutorial(reader: Reader) -> None:
    """Follow the pages of the tutorial that change the project, without a server."""
    for page in PAGES:
        blocks = (block for block in code_blocks(page) if block.language == "console" or FILE.match(block.code))
        assert list(reader.follow(map(_prepared, blocks))) == []


def _prepared(block: Block) -> Block:
    """Return the block without commands that need a server."""
    if block.language != "console":
        return block
    commands = re.split(r"^(?=\$ )", block.code, flags=re.MULTILINE)
    code = "".join(command for command in commands if PREPARES.match(command))
    return Block(page=block.page, line=block.line, language=block.language, code=code)


@asynccontextmanager
async def logged_in(browser: Browser, url: str, name: str = "") -> AsyncIterator[Page]:
    """Open a page in a context of its own, and log in if there is a name, which is the password, too."""
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(url)
        if name:
            await page.get_by_label("Username").fill(name)
            await page.get_by_label("Password").fill(name)
            await page.get_by_role("button", name="Log in").click()
            await page.wait_for_url(lambda url: "/login/" not in url)
        yield page


async def see(page: Page, text: str) -> None:
    """Wait until a page shows what the tutorial shows."""
    await expect(page.locator("body")).to_have_text(" ".join(text.splitlines()), use_inner_text=True)


async def change_status(page: Page, url: str, status: str, text: str) -> None:
    """Change an order in the admin, and compare the message that the admin shows."""
    await page.goto(url)
    await page.get_by_label("Status").select_option(status)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".messagelist")).to_have_text(text.strip(), use_inner_text=True)


@asynccontextmanager
async def followed(
    reader: Reader, browser: Browser, blocks: Iterable[Block], *saves: Save
) -> AsyncIterator[dict[str, Page]]:
    """Follow blocks that show the admin and Alice's page, and give both pages by their titles, while they are open."""
    saved = iter(saves)
    pages: dict[str, Page] = {}
    async with AsyncExitStack() as stack:
        for title, text in reader.follow(blocks):
            if title not in pages and not title.startswith("The terminal"):
                url, name = (f"{reader.url}/admin/", "boss") if title == "The admin" else (title, "alice")
                opened = logged_in(browser, reader.outputs.real(url), name)
                pages[title] = await stack.enter_async_context(opened)
            if title == "The admin":
                pk, statuses = next(saved)
                for status in statuses:
                    await change_status(pages[title], f"{reader.url}/admin/orders/order/{pk}/change/", status, text)
            elif title in pages:
                await see(pages[title], text)
        assert len(pages) == 2
        assert next(saved, None) is None
        yield pages
