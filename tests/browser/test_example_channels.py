"""The chat and the orders in Chromium: windows that hear of each other, from one process and from two."""

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
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browsers import WatchedPage, chromium, watched_page
from tests.support.example import TWO_WORKERS, manage, serve_example
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MOST_WINDOWS = 40
"""Windows that are opened until both workers have one. The kernel deals them out as it likes; a few mostly do."""


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
        """Open two windows; where there are two workers, at one each."""
        first = second = await self.open(path)
        for _ in range(MOST_WINDOWS):
            second = await self.open(path)
            if self.redis is None or listening(self.redis) == 2:
                return first, second
        raise AssertionError(f"Both workers should have had one of {MOST_WINDOWS} windows.")

    def post(self, path: str, **data: str) -> None:
        """Post something, from no window."""
        httpx.post(self.server.url + path, json=data, timeout=60).raise_for_status()


def listening(redis: RedisServer) -> int:
    """Return how many processes listen to the channel that most listen to."""
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


@pytest.fixture
async def over_memory(quick_server: Server) -> AsyncIterator[Windows]:
    async with chromium() as browser, AsyncExitStack() as stack:
        yield Windows(browser, quick_server, stack)
    print(quick_server.described())  # pytest shows it where the test failed


@pytest.fixture
async def over_redis(two_workers: tuple[Server, RedisServer]) -> AsyncIterator[Windows]:
    server, redis = two_workers
    async with chromium() as browser, AsyncExitStack() as stack:
        yield Windows(browser, server, stack, redis)
    print(server.described())


@pytest.fixture(params=["over_memory", "over_redis"])
def windows(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def expect_state(page: Page, state: str) -> None:
    await expect(page.locator("main .state")).to_have_attribute("data-state", state)


async def say(page: Page, author: str, text: str) -> None:
    await page.get_by_label("Name").fill(author)
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_role("button", name="Send").click()


async def expect_said(page: Page, *texts: str) -> None:
    await expect(page.locator("[data-messages] .text")).to_have_text(list(texts))


def fetches(window: WatchedPage, path: str) -> int:
    """Return how often the page has asked for the state itself."""
    found = [response.request.method for response in window.responses if response.url.endswith(path)]
    return found.count("GET")


# Chat


async def test_two_windows_talk(windows: Windows) -> None:
    ada, bob = await windows.two("/chat/over-redis/" if windows.redis else "/chat/over-memory/")
    await say(ada.page, "Ada", "Does <b>this</b> arrive?")
    await expect_said(bob.page, "Does <b>this</b> arrive?")
    await say(bob.page, "Bob <i>", "It does & so do I")
    for window in (ada, bob):
        await expect_said(window.page, "Does <b>this</b> arrive?", "It does & so do I")
        await expect(window.page.locator("[data-messages] .author").last).to_have_text("Bob <i>")
        assert fetches(window, "/messages/") == 1
    await expect(ada.page.get_by_label("Message", exact=True)).to_have_value("")


async def test_a_window_that_opens_late_has_what_was_said(over_memory: Windows) -> None:
    for text in ("one", "two"):
        over_memory.post("/chat/late/messages/", author="Ada", text=text)
    window = await over_memory.open("/chat/late/")
    await expect_said(window.page, "one", "two")


async def test_what_the_server_refuses_is_told(over_memory: Windows) -> None:
    window = await over_memory.open("/chat/refused/")
    await say(window.page, "Ada", " ")
    await expect(window.page.get_by_role("alert")).to_have_text("This field may not be blank.")
    assert [error for error in window.errors if "400" not in error] == []
    window.errors.clear()
    await say(window.page, "Ada", "Better")
    await expect_said(window.page, "Better")
    await expect(window.page.get_by_role("alert")).to_be_hidden()


async def test_windows_whose_workers_are_restarted_come_back_to_what_they_missed(
    over_redis: Windows, example_database: Path
) -> None:
    ada, bob = await over_redis.two("/chat/restart/")
    await say(ada.page, "Ada", "before")
    for window in (ada, bob):
        await expect_said(window.page, "before")
    async with kept_away(ada), kept_away(bob):
        restart_workers(over_redis.server)
        for window in (ada, bob):
            await expect_state(window.page, "reconnecting")
        say_in_shell(over_redis, example_database, "restart", "meanwhile")
    for window in (ada, bob):
        await expect_said(window.page, "before", "meanwhile")
        await expect_state(window.page, "live")
        assert fetches(window, "/messages/") == 1, "it came as an event, since the window told the last id that it had"
        window.errors.clear()  # a connection that is cut is one


async def test_a_window_that_missed_what_is_not_kept_asks_for_the_state_anew(
    over_redis: Windows, example_database: Path
) -> None:
    window = await over_redis.open("/chat/reset/")
    await say(window.page, "Ada", "before")
    await expect_said(window.page, "before")
    assert over_redis.redis is not None
    async with kept_away(window):
        restart_workers(over_redis.server)
        await expect_state(window.page, "reconnecting")
        say_in_shell(over_redis, example_database, "reset", "meanwhile")
        over_redis.redis.client.flushall()
    await expect_said(window.page, "before", "meanwhile")
    assert fetches(window, "/messages/") == 2
    await say(window.page, "Ada", "after")
    await expect_said(window.page, "before", "meanwhile", "after")
    window.errors.clear()


def say_in_shell(windows: Windows, database: Path, room: str, text: str) -> None:
    """Save a message and announce it from another process: a server that is restarted may refuse to."""
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
async def kept_away(window: WatchedPage) -> AsyncIterator[None]:
    """Let no stream of a window through to the server meanwhile."""
    let_through = asyncio.Event()

    async def hold(route: Route) -> None:
        await let_through.wait()
        await route.continue_()

    await window.page.route("**/events/", hold)
    yield
    let_through.set()


def restart_workers(server: Server) -> None:
    """Have uvicorn replace its workers, as on a deployment."""
    pid = server.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGTERM)


# Orders


async def test_an_order_made_in_one_window_shows_in_another(windows: Windows) -> None:
    ours, theirs = await windows.two("/orders/")
    await ours.page.get_by_label("Item").fill("<b>Tea pot</b>")
    await ours.page.get_by_label("Quantity").fill("2")
    await ours.page.get_by_role("button", name="Order").click()
    name = "<b>Tea pot</b>"
    await expect(row_of(theirs.page, name)).to_contain_text("new")
    await theirs.page.get_by_role("button", name=f"Mark paid: {name}").click()
    await expect(row_of(ours.page, name)).to_contain_text("paid")
    await ours.page.get_by_role("button", name=f"Remove: {name}").click()
    for window in (ours, theirs):
        await expect(row_of(window.page, name)).to_have_count(0)
        assert fetches(window, "/orders/api/") == 1


def row_of(page: Page, item: str) -> Any:
    return page.locator("[data-orders] tr").filter(has_text=item)


async def test_the_list_shows_what_the_admin_saves(over_memory: Windows) -> None:
    orders = await over_memory.open("/orders/")
    # The admin has an icon of no kind, and a policy of no kind: only the list is watched for errors.
    context = await over_memory.browser.new_context(base_url=over_memory.server.url)
    admin = await context.new_page()
    await admin.goto("/admin/login/?next=/admin/orders/order/add/")
    await admin.get_by_label("Username").fill("demo")
    await admin.get_by_label("Password").fill("demo")
    await admin.get_by_role("button", name="Log in").click()
    await admin.get_by_label("Item:").fill("Saucer")
    await admin.get_by_role("button", name="Save and continue editing").click()
    await expect(row_of(orders.page, "Saucer")).to_contain_text("new")
    await admin.get_by_label("Status").select_option("shipped")
    await admin.get_by_role("button", name="Save", exact=True).click()
    await expect(row_of(orders.page, "Saucer")).to_contain_text("shipped")
    await context.close()
    assert fetches(orders, "/orders/api/") == 1


async def test_the_list_shows_what_another_process_saves(over_redis: Windows, example_database: Path) -> None:
    orders = await over_redis.open("/orders/")
    assert over_redis.redis is not None
    manage(
        *("shell", "-c", "from orders.models import Order; Order.objects.create(item='Spoon')"),
        database=example_database,
        redis_url=over_redis.redis.url,
    )
    await expect(row_of(orders.page, "Spoon")).to_contain_text("new")
    assert fetches(orders, "/orders/api/") == 1
