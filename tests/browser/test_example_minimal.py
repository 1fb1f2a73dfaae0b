"""Tests of the page of ``example/minimal.py`` in Chromium."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.support.browsers import watched_page
from tests.support.example import serve_minimal
from tests.support.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


async def test_what_is_said_in_one_tab_appears_in_both(browser: Browser) -> None:
    with serve_minimal(str(free_port())) as (server, client):
        client.get("/")  # waits until the server listens
        async with watched_page(browser, base_url=server.url) as window:
            tabs = [window.page, await window.page.context.new_page()]
            for tab in tabs:
                async with tab.expect_response("**/room/"):  # the tab has subscribed when the response starts
                    await tab.goto("/")
                await expect(tab.get_by_role("heading")).to_have_text(re.compile(r"Tick \d+"))
            for number, tab in enumerate(tabs):
                await tab.get_by_label("Text").fill(f"<b>{number}</b>")
                await tab.keyboard.press("Enter")
                for each in tabs:
                    await expect(each.get_by_role("listitem").nth(number)).to_have_text(f"<b>{number}</b>")
