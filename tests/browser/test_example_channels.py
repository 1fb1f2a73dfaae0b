"""Tests of the example's chat and orders in several Chromium windows, with one server process and with two."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, FloatRect, Locator, Page, Route, expect

from tests.support.browsers import WatchedPage, watched_page
from tests.support.example import TWO_WORKERS, manage, serve_example
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

LIVE = "/orders/api/live/"
MAX_WINDOWS = 40
"""The maximum number of windows to open until both workers serve one. The kernel chooses the worker."""


@dataclass
class Windows:
    """Open windows of the example."""

    browser: Browser
    server: Server
    stack: AsyncExitStack
    redis: RedisServer | None = None

    async def open(self, path: str) -> WatchedPage:
        window = await self.stack.enter_async_context(watched_page(self.browser, base_url=self.server.url))
        await window.page.goto(path)
        await expect_state(window.page, "live")
        return window

    async def two(self, path: str) -> tuple[WatchedPage, WatchedPage]:
        """Open two windows. If there are two workers, each worker serves one of the windows."""
        first = await self.open(path)
        for _ in range(MAX_WINDOWS):
            second = await self.open(path)
            if self.redis is None or count_listeners(self.redis) == 2:
                return first, second
            await second.page.context.close()
        raise AssertionError(f"Each of two workers should have served one of {MAX_WINDOWS} windows.")

    def post(self, path: str, **data: str) -> None:
        """Send a POST request from outside the windows."""
        httpx.post(self.server.url + path, json=data, timeout=60).raise_for_status()


def count_listeners(redis: RedisServer) -> int:
    """Return the largest number of processes that listen to one channel."""
    channels: Any = redis.client.pubsub_channels()
    counts: Any = redis.client.pubsub_numsub(*channels)
    return max((count for _, count in counts), default=0)


@pytest.fixture(scope="module")
def two_workers(example_database: Path) -> Iterator[tuple[Server, RedisServer]]:
    with (
        redis_server() as redis,
        serve_example(example_database, command=TWO_WORKERS, redis_url=redis.url) as server,
    ):
        yield server, redis


@pytest_asyncio.fixture(loop_scope="module")
async def memory_windows(browser: Browser, quick_server: Server) -> AsyncIterator[Windows]:
    async with AsyncExitStack() as stack:
        yield Windows(browser, quick_server, stack)
    print(quick_server.described())  # pytest shows it if the test fails


@pytest_asyncio.fixture(loop_scope="module")
async def redis_windows(browser: Browser, two_workers: tuple[Server, RedisServer]) -> AsyncIterator[Windows]:
    server, redis = two_workers
    async with AsyncExitStack() as stack:
        yield Windows(browser, server, stack, redis)
    print(server.described())


@pytest.fixture(params=["memory_windows", "redis_windows"])
def windows(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def expect_state(page: Page, state: str) -> None:
    await expect(page.locator("main .state")).to_have_attribute("data-state", state)


async def send_message(page: Page, author: str, text: str) -> None:
    await page.get_by_label("Name").fill(author)
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_role("button", name="Send").click()


async def expect_messages(page: Page, *texts: str) -> None:
    await expect(page.locator("[data-messages] .text")).to_have_text(list(texts))


def count_fetches(window: WatchedPage, path: str) -> int:
    """Return how often the page has fetched the state at ``path``."""
    found = [response.request.method for response in window.responses if response.url.endswith(path)]
    return found.count("GET")


# Chat


async def test_a_message_is_shown_in_both_windows(windows: Windows) -> None:
    ada, bob = await windows.two("/chat/over-redis/" if windows.redis else "/chat/over-memory/")
    await send_message(ada.page, "Ada", "Does <b>this</b> arrive?")
    await expect_messages(bob.page, "Does <b>this</b> arrive?")
    await send_message(bob.page, "Bob <i>", "It does & so do I")
    for window in (ada, bob):
        await expect_messages(window.page, "Does <b>this</b> arrive?", "It does & so do I")
        await expect(window.page.locator("[data-messages] .author").last).to_have_text("Bob <i>")
        assert count_fetches(window, "/messages/") == 1
    await expect(ada.page.get_by_label("Message", exact=True)).to_have_value("")


async def test_a_window_shows_the_messages_sent_before_it_was_opened(memory_windows: Windows) -> None:
    for text in ("one", "two"):
        memory_windows.post("/chat/late/messages/", author="Ada", text=text)
    window = await memory_windows.open("/chat/late/")
    await expect_messages(window.page, "one", "two")


async def test_the_page_shows_why_a_message_was_refused(memory_windows: Windows) -> None:
    window = await memory_windows.open("/chat/refused/")
    await send_message(window.page, "Ada", " ")
    await expect(window.page.get_by_role("alert")).to_have_text("This field may not be blank.")
    assert [error for error in window.errors if "status of 400" not in error] == []
    window.errors.clear()
    await send_message(window.page, "Ada", "Better")
    await expect_messages(window.page, "Better")
    await expect(window.page.get_by_role("alert")).to_be_hidden()


async def test_windows_show_the_messages_that_they_missed_while_workers_restarted(
    redis_windows: Windows, example_database: Path
) -> None:
    ada, bob = await redis_windows.two("/chat/restart/")
    await send_message(ada.page, "Ada", "before")
    for window in (ada, bob):
        await expect_messages(window.page, "before")
    async with streams_blocked(ada), streams_blocked(bob):
        restart_workers(redis_windows.server)
        for window in (ada, bob):
            await expect_state(window.page, "reconnecting")
        send_message_from_shell(redis_windows, example_database, "restart", "meanwhile")
    for window in (ada, bob):
        await expect_messages(window.page, "before", "meanwhile")
        await expect_state(window.page, "live")
        assert count_fetches(window, "/messages/") == 1, "the message must arrive as an event"
        window.errors.clear()  # the broken connection was reported as an error


async def test_a_window_fetches_the_state_again_if_missed_events_are_not_stored(
    redis_windows: Windows, example_database: Path
) -> None:
    window = await redis_windows.open("/chat/reset/")
    await send_message(window.page, "Ada", "before")
    await expect_messages(window.page, "before")
    assert redis_windows.redis is not None
    async with streams_blocked(window):
        restart_workers(redis_windows.server)
        await expect_state(window.page, "reconnecting")
        send_message_from_shell(redis_windows, example_database, "reset", "meanwhile")
        redis_windows.redis.client.flushall()
    await expect_messages(window.page, "before", "meanwhile")
    assert count_fetches(window, "/messages/") == 2
    await send_message(window.page, "Ada", "after")
    await expect_messages(window.page, "before", "meanwhile", "after")
    window.errors.clear()


def send_message_from_shell(windows: Windows, database: Path, room: str, text: str) -> None:
    """Save and publish a message from another process, because a restarting server may refuse a request."""
    assert windows.redis is not None
    code = (
        "from adrf_sse.channels import publish\n"
        "from chat.models import Message\n"
        "from chat.serializers import MessageSerializer\n"
        f"message = Message.objects.create(room={room!r}, author='Cyd', text={text!r})\n"
        f"publish('chat.{room}', MessageSerializer(message).data)\n"
    )
    manage("shell", "-c", code, database=database, redis_url=windows.redis.url)


@asynccontextmanager
async def streams_blocked(window: WatchedPage, urls: str = "**/events/") -> AsyncIterator[None]:
    """Delay the requests for streams of a window until the block exits."""
    unblocked = asyncio.Event()

    async def hold(route: Route) -> None:
        await unblocked.wait()
        await route.continue_()

    await window.page.route(urls, hold)
    yield
    unblocked.set()


def restart_workers(server: Server) -> None:
    """Terminate the workers, so that uvicorn starts new ones."""
    pid = server.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGTERM)


async def test_an_empty_room_says_so(memory_windows: Windows) -> None:
    window = await memory_windows.open("/chat/empty/")
    talk = window.page.get_by_role("log")
    await expect(talk).to_match_aria_snapshot('- log "Messages": Nobody has said anything yet.')
    await send_message(window.page, "Ada", "Anybody here?")
    await expect_messages(window.page, "Anybody here?")
    assert "Nobody" not in await talk.aria_snapshot()


# Orders


async def test_the_list_can_be_used_with_the_keyboard(memory_windows: Windows) -> None:
    memory_windows.post("/orders/api/", item="Bowl")
    memory_windows.post("/orders/api/", item="Fork")
    window = await memory_windows.open("/orders/")
    button = window.page.get_by_role("button", name="Mark paid: Fork")
    await button.focus()
    for name in ("Mark shipped: Fork", "Remove: Fork", "Mark paid: Bowl"):
        await button.press("Enter")
        button = window.page.get_by_role("button", name=name)
        await expect(button).to_be_focused()


async def test_orders_fit_a_narrow_window(memory_windows: Windows) -> None:
    memory_windows.post("/orders/api/", item="Sieve", quantity="1000")
    async with watched_page(
        memory_windows.browser, base_url=memory_windows.server.url, viewport={"width": 320, "height": 640}
    ) as window:
        await window.page.goto("/orders/")
        row = order_row(window.page, "Sieve")
        await expect(row).to_be_visible()
        stage = await box(window.page.locator(".stage"))
        for wide in (window.page.get_by_label("Item"), row.get_by_text("Sieve")):
            assert (await box(wide))["width"] > stage["width"] / 3
        for part in (row, row.get_by_role("button").last):
            assert (await box(part))["x"] + (await box(part))["width"] < stage["x"] + stage["width"]


async def test_an_empty_list_of_orders_says_so(memory_windows: Windows) -> None:
    window = await memory_windows.open("/orders/")
    page, none = window.page, window.page.get_by_text("There are no orders")
    async with httpx.AsyncClient(base_url=memory_windows.server.url, timeout=60) as client:
        for order in (await client.get("/orders/api/")).json():
            (await client.delete(f"/orders/api/{order['id']}/")).raise_for_status()
    await expect(none).to_be_visible()
    memory_windows.post("/orders/api/", item="Jug")
    await expect(order_row(page, "Jug")).to_contain_text("new")
    await expect(none).to_be_hidden()
    await page.get_by_role("button", name="Remove: Jug").click()
    await expect(none).to_be_visible()


async def test_a_list_does_not_say_that_it_is_empty_before_it_is_loaded(memory_windows: Windows) -> None:
    async with watched_page(memory_windows.browser, base_url=memory_windows.server.url) as window:
        page, loaded = window.page, asyncio.Event()

        async def hold(route: Route) -> None:
            await loaded.wait()
            await route.continue_()

        await page.route(f"**{LIVE}", hold)
        await page.goto("/orders/")
        await expect_state(page, "connecting")
        await expect(page.get_by_text("Loading")).to_be_visible()
        await expect(page.get_by_text("There are no orders")).to_be_hidden()
        loaded.set()
        await expect(page.get_by_text("Loading")).to_be_hidden()


async def test_a_list_that_reconnects_shows_what_it_has_missed_and_keeps_the_focus(
    redis_windows: Windows, example_database: Path
) -> None:
    redis_windows.post("/orders/api/", item="Pan")
    redis_windows.post("/orders/api/", item="Lid")
    window = await redis_windows.open("/orders/")
    button = window.page.get_by_role("button", name="Remove: Pan")
    await button.focus()
    assert redis_windows.redis is not None
    async with streams_blocked(window, f"**{LIVE}"):
        restart_workers(redis_windows.server)
        await expect_state(window.page, "reconnecting")
        code = "from orders.models import Order; Order(item='Wok').save(); Order.objects.filter(item='Lid').delete()"
        manage("shell", "-c", code, database=example_database, redis_url=redis_windows.redis.url)
    await expect(order_row(window.page, "Wok")).to_contain_text("new")
    await expect(order_row(window.page, "Lid")).to_have_count(0)
    await expect(button).to_be_focused()
    window.errors.clear()  # the broken connection was reported as an error


async def test_changes_to_an_order_are_shown_in_both_windows(windows: Windows) -> None:
    ours, theirs = await windows.two("/orders/")
    await ours.page.get_by_label("Item").fill("<b>Tea pot</b>")
    await ours.page.get_by_label("Quantity").fill("2")
    await ours.page.get_by_role("button", name="Order").click()
    name = "<b>Tea pot</b>"
    await expect(order_row(theirs.page, name)).to_contain_text("new")
    await theirs.page.get_by_role("button", name=f"Mark paid: {name}").click()
    await expect(order_row(ours.page, name)).to_contain_text("paid")
    await ours.page.get_by_role("button", name=f"Remove: {name}").click()
    for window in (ours, theirs):
        await expect(order_row(window.page, name)).to_have_count(0)
        assert count_fetches(window, LIVE) == 1


async def box(element: Locator) -> FloatRect:
    found = await element.bounding_box()
    assert found, "the element must be visible"
    return found


async def test_two_tabs_of_one_browser_share_a_connection(memory_windows: Windows) -> None:
    memory_windows.post("/orders/api/", item="Strainer")
    first = await memory_windows.open("/orders/")
    await expect(order_row(first.page, "Strainer")).to_contain_text("new")
    context = first.page.context
    ended, own = asyncio.Event(), []
    for event in ("requestfailed", "requestfinished"):
        context.on(event, lambda request: request.url.endswith(LIVE) and ended.set())
    context.on("request", lambda request: request.url.endswith(LIVE) and own.append(request))
    second = await context.new_page()
    await second.goto("/orders/")
    await expect(order_row(second, "Strainer")).to_contain_text("new")
    await ended.wait()  # the second tab has read its own snapshot
    memory_windows.post("/orders/api/", item="Ladle")
    for page in (first.page, second):
        await expect(order_row(page, "Ladle")).to_contain_text("new")
    assert len(own) == 1
    await first.page.close()
    memory_windows.post("/orders/api/", item="Whisk")
    await expect(order_row(second, "Whisk")).to_contain_text("new")
    assert len(own) == 2


def order_row(page: Page, item: str) -> Any:
    return page.locator("[data-orders] tr").filter(has_text=item)


async def test_the_list_shows_orders_saved_in_the_admin(memory_windows: Windows) -> None:
    orders = await memory_windows.open("/orders/")
    # The admin has no favicon, which is an error in the console: watch only the list for errors.
    context = await memory_windows.browser.new_context(base_url=memory_windows.server.url)
    admin = await context.new_page()
    await admin.goto("/admin/login/?next=/admin/orders/order/add/")
    await admin.get_by_label("Username").fill("demo")
    await admin.get_by_label("Password").fill("demo")
    await admin.get_by_role("button", name="Log in").click()
    await admin.get_by_label("Item:").fill("Saucer")
    await admin.get_by_role("button", name="Save and continue editing").click()
    await expect(order_row(orders.page, "Saucer")).to_contain_text("new")
    await admin.get_by_label("Status").select_option("shipped")
    await admin.get_by_role("button", name="Save", exact=True).click()
    await expect(order_row(orders.page, "Saucer")).to_contain_text("shipped")
    await context.close()
    assert count_fetches(orders, LIVE) == 1


async def test_the_list_shows_orders_saved_by_another_process(redis_windows: Windows, example_database: Path) -> None:
    orders = await redis_windows.open("/orders/")
    assert redis_windows.redis is not None
    manage(
        *("shell", "-c", "from orders.models import Order; Order.objects.create(item='Spoon')"),
        database=example_database,
        redis_url=redis_windows.redis.url,
    )
    await expect(order_row(orders.page, "Spoon")).to_contain_text("new")
    assert count_fetches(orders, LIVE) == 1
