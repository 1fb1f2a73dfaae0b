"""The how-to page of a live list, followed in the project of the tutorial."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.docs.examples import blocks_of, code_blocks
from tests.docs.reader import FILE, Reader
from tests.docs.terminal import terminal
from tests.docs.tutorial import finish_tutorial
from tests.support.browsers import chromium, watched_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
PAGE = "how-to/live-list.md"
TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
URL = "http://127.0.0.1:8000/orders/"
ROWS = [(1, "Pizza", "delivered"), (2, "Tiramisu", "in the oven")]
"""The orders of Alice at the end of the tutorial."""

CHECKS = """
```python
# orders/test_list.py
import json

from django.contrib.auth.models import User
from django.test import TransactionTestCase

from adrf_sse.testing import EventStreamClient
from orders.bulk import deliver_all, import_items
from orders.models import Order


class ListTest(TransactionTestCase):
    def setUp(self):
        self.alice, self.bob = (User.objects.create_user(name) for name in ("alice", "bob"))

    def watch(self, **options):
        return EventStreamClient().get("/api/orders/live/", **options)

    def test_announced_changes_reach_the_list(self):
        order = Order.objects.create(customer=self.alice, item="Jug")
        with self.watch(user=self.alice) as stream:
            self.assertEqual(stream.next().event, "snapshot")
            deliver_all([order.pk])
            self.assertEqual(json.loads(stream.next().data), {"id": order.pk, "item": "Jug", "status": "delivered"})
            import_items(self.alice, ["Cup"])
            created = stream.next()
        self.assertEqual(created.event, "created")
        self.assertEqual(json.loads(created.data)["item"], "Cup")

    def test_users_see_their_own_rows_and_a_row_that_moves_is_deleted(self):
        Order.objects.create(customer=self.bob, item="Vase")
        order = Order.objects.create(customer=self.alice, item="Jug")
        with self.watch(user=self.alice) as stream:
            self.assertEqual([row["item"] for row in json.loads(stream.next().data)], ["Jug"])
            order.customer = self.bob
            order.save()
            self.assertEqual(stream.next().event, "deleted")
            with EventStreamClient().post("/api/orders/", {"item": "Cup"}, user=self.alice) as response:
                self.assertEqual(response.status_code, 201)
            self.assertEqual(stream.next().event, "created")

    def test_a_login_is_required(self):
        with self.watch() as stream:
            self.assertEqual(stream.status_code, 403)
        response = self.client.get("/orders/")
        self.assertRedirects(response, "/accounts/login/?next=/orders/")
```

```console
$ python manage.py test orders.test_list
…
Ran 3 tests in 0.123s
…
OK
…
```
"""
"""Tests that the page does not have."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has followed the tutorial, and the page, and has started the server."""
    with ExitStack() as stack:
        reader = Reader(tmp_path_factory.mktemp("live-list"), stack)
        stack.callback(reader.stop)
        finish_tutorial(reader)
        set_orders(reader.folder, *ROWS)
        before = [block for block in code_blocks(PAGE) if "curl" not in block.code and FILE.match(block.code)]
        (start,) = (block for block in code_blocks(PAGE) if "runserver" in block.code)
        assert list(reader.follow([*before, start])) == []
        yield reader


@pytest.fixture(autouse=True)
def orders(reader: Reader) -> None:
    """Restore the orders."""
    set_orders(reader.folder, *ROWS)


def set_orders(folder: Path, *rows: tuple[int, str, str]) -> None:
    """Replace the orders. They belong to Alice."""
    with closing(sqlite3.connect(folder / "db.sqlite3", timeout=30)) as database, database:
        database.execute("DELETE FROM orders_order")
        database.execute("DELETE FROM sqlite_sequence WHERE name = 'orders_order'")
        database.executemany(
            "INSERT INTO orders_order (id, item, status, customer_id)"
            " SELECT ?, ?, ?, id FROM auth_user WHERE username = 'alice'",
            rows,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, reader: Reader) -> AsyncIterator[Page]:
    """The page of the list, which Alice has opened."""
    async with watched_page(browser, base_url=reader.url) as watched:
        await watched.page.goto("/orders/")
        await log_in(watched.page)
        await expect(watched.page.locator("#state")).to_have_text("Connected")
        yield watched.page
        # Chromium reports every response with an error, and the tests cause some.
        watched.errors[:] = [error for error in watched.errors if not error.startswith("Failed to load resource")]


async def log_in(page: Page) -> None:
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("alice")
    await page.get_by_role("button", name="Log in").click()


async def shows(page: Page, *rows: str) -> None:
    await expect(page.locator("#list li")).to_have_text(list(rows))


def shown_rows() -> tuple[list[str], str]:
    """Return the rows of the list that the page of the documentation shows, and the state."""
    (shown,) = (block for block in code_blocks(PAGE) if URL in block.language)
    *rows, state = shown.code.splitlines()
    return rows, state


async def change(page: Page, method: str, path: str, **data: str) -> None:
    """Change an order with the token of Alice's session."""
    cookies = {cookie["name"]: cookie["value"] for cookie in await page.context.cookies()}
    headers = {"X-CSRFToken": cookies["csrftoken"]}
    response = await page.request.fetch(f"/api/orders/{path}", method=method, form=data, headers=headers)
    assert response.ok, await response.text()


async def test_the_list_shows_what_other_commands_change(reader: Reader) -> None:
    console = [block for block in code_blocks(PAGE) if "$ curl" in block.code]
    (events,) = (block for block in code_blocks(PAGE) if block.language == "text")
    with terminal(reader.url, reader.folder, **{TOKEN: reader.outputs.real(TOKEN)}) as opened:
        [stream] = opened.run(console[0])
        opened.run(console[1])
        stream.expect(events.code.splitlines())


async def test_bulk_changes_are_announced_and_users_see_their_own_rows(reader: Reader) -> None:
    assert list(reader.follow(blocks_of(CHECKS))) == []


async def test_the_page_shows_each_change(page: Page) -> None:
    rows, state = shown_rows()
    await shows(page, *rows)
    await expect(page.locator("#state")).to_have_text(state)
    await change(page, "POST", "", item="Cup")
    await shows(page, *rows, "Cup: received")
    await change(page, "PATCH", "3/", status="delivered")
    await shows(page, *rows, "Cup: delivered")
    await change(page, "DELETE", "3/")
    await shows(page, *rows)


async def test_all_tabs_share_one_connection_and_each_has_all_rows(page: Page) -> None:
    rows, _ = shown_rows()
    other = await page.context.new_page()
    await other.goto("/orders/")
    for tab in page, other:
        await shows(tab, *rows)
    await change(page, "PATCH", "2/", status="delivered")
    for tab in page, other:
        await shows(tab, rows[0], "Tiramisu: delivered")
    assert await other.evaluate("navigator.locks.query().then(({ pending }) => pending.length)") == 1
    await other.close()


async def test_the_page_returns_after_a_proxy_had_no_server(page: Page) -> None:
    await page.route("**/orders/live/", lambda route: route.fulfill(status=502))
    await page.reload()
    await expect(page.locator("#state")).to_have_text("Reconnecting")
    await page.unroute_all()
    await expect(page.locator("#list li")).to_have_text(shown_rows()[0], timeout=60_000)
    await expect(page.locator("#state")).to_have_text("Connected")


async def test_an_event_source_is_closed_after_a_proxy_had_no_server(page: Page) -> None:
    await page.route("**/orders/live/", lambda route: route.fulfill(status=502))
    await page.evaluate("window.source = new EventSource('/api/orders/live/')")
    await page.wait_for_function("source.readyState === EventSource.CLOSED")


async def test_a_user_whose_session_has_ended_can_log_in_again(page: Page) -> None:
    rows, _ = shown_rows()
    await shows(page, *rows)
    await expect(page.locator("#login")).to_be_hidden()
    await page.route("**/orders/live/", lambda route: route.fulfill(status=403))
    await page.reload()
    await expect(page.locator("#login")).to_be_visible()
    await expect(page.locator("#list li")).to_have_count(0)
    await page.unroute_all()
    await page.context.clear_cookies()
    await page.get_by_role("link", name="Please log in.").click()
    await log_in(page)
    await shows(page, *rows)
