"""Tests of ``sse.js`` in Chromium: tabs that share one connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request

from tests.servers.test_servers import ROOT
from tests.support.browsers import TIMEOUT
from tests.support.scripted_server import Exchange, ScriptedServer
from tests.support.servers import serve

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

UVICORN = ["-m", "uvicorn", "tests.project.console_asgi:application", "--fd", "{fd}", "--log-level", "warning"]
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.project.sse_js_settings"}
TABS = 8
LAST = 1_000_000
OPEN = """async ({ url, options, names }) => {
    const { open } = await import("/static/adrf_sse/sse.js");
    const stream = window.stream = open(url, { shared: true, retry: 1, ...options });
    const received = window.received = [];
    const log = window.log = [];
    for (const name of names) stream.addEventListener(name, event => received.push(event.json()));
    for (const name of ["open", "error", "close"])
        stream.addEventListener(name, ({ error, reason }) => log.push([name, reason, error?.body ?? null]));
}"""


class Tab:
    """A page that reads a shared stream."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, url: str = "/stream/", names: tuple[str, ...] = ("message",), **options: Any) -> None:
        await self.page.evaluate(OPEN, {"url": url, "options": options, "names": names})

    async def opened(self) -> None:
        await self.page.wait_for_function("stream.readyState === 1")

    async def closed(self) -> None:
        await self.page.wait_for_function("stream.readyState === 2")

    async def received(self, *events: Any) -> None:
        """Wait until as many events have arrived, and compare them."""
        await self.page.wait_for_function("count => received.length >= count", arg=len(events))
        assert await self.page.evaluate("received") == list(events)


@asynccontextmanager
async def opened_context(browser: Browser, url: str) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(base_url=url)
    context.set_default_timeout(TIMEOUT)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser, server: ScriptedServer) -> AsyncIterator[BrowserContext]:
    async with opened_context(browser, server.url) as context:
        yield context


async def new_tab(context: BrowserContext) -> Tab:
    page = await context.new_page()
    await page.goto("/page/")
    return Tab(page)


async def new_tabs(context: BrowserContext, count: int) -> list[Tab]:
    return [await new_tab(context) for _ in range(count)]


def frames(*ids: int) -> str:
    """Return frames whose data are their IDs."""
    return "".join(f"id: {id}\ndata: {id}\n\n" for id in ids)


# Eight tabs and the channels of a real server


class Numbers:
    """Publish numbers in order, without a pause, until the block exits. The last one is ``LAST``."""

    def __init__(self, url: str) -> None:
        self.count = 0
        self._url = url
        self._stopping = False

    async def __aenter__(self) -> "Numbers":
        self._task = asyncio.create_task(self._publish())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stopping = True
        await self._task

    async def _publish(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            while not self._stopping:
                (await client.post(f"/numbers/{self.count}/")).raise_for_status()
                self.count += 1
            (await client.post(f"/numbers/{LAST}/")).raise_for_status()


def leaders_of(context: BrowserContext, path: str) -> "asyncio.Queue[Page]":
    """Return a queue to which the page of each request of ``path`` is added."""
    pages: asyncio.Queue[Page] = asyncio.Queue()

    def add(request: Request) -> None:
        if request.url.endswith(path):
            pages.put_nowait(request.frame.page)

    context.on("request", add)
    return pages


async def leave_by_closing(leader: Page) -> None:
    await leader.close()


async def leave_by_crashing(leader: Page) -> None:
    session = await leader.context.new_cdp_session(leader)
    async with leader.expect_event("crash"):
        crash = asyncio.ensure_future(session.send("Page.crash"))
    crash.cancel()
    await asyncio.gather(crash, return_exceptions=True)


async def leave_by_navigating(leader: Page) -> None:
    await leader.goto("about:blank")


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_crashing, leave_by_navigating])
async def test_eight_tabs_receive_each_event_once_and_in_order_while_leaders_leave(
    browser: Browser, leave: Any
) -> None:
    with serve(UVICORN, env=SETTINGS, cwd=ROOT) as server:
        async with opened_context(browser, server.url) as context:
            leaders = leaders_of(context, "/numbers/")
            tabs = await new_tabs(context, TABS)
            for tab in tabs:
                await tab.open("/numbers/", names=("number",))
            for tab in tabs:
                await tab.opened()
            async with Numbers(server.url) as numbers:
                for _ in range(3):
                    leader = await leaders.get()
                    assert leaders.empty()
                    await leader.wait_for_function("count => received.length > count", arg=numbers.count)
                    await leave(leader)
                    tabs = [tab for tab in tabs if tab.page is not leader]
                await leaders.get()
            for tab in tabs:
                await tab.received(*range(numbers.count), LAST)
            assert leaders.empty()
            assert len(tabs) == TABS - 3


async def test_without_sharing_the_seventh_tab_gets_no_answer(context: BrowserContext, server: ScriptedServer) -> None:
    tabs = await new_tabs(context, 7)
    for tab in tabs[:6]:
        await tab.open(shared=False)
        await (await server.request("/stream/")).stream()
        await tab.opened()
    seventh = tabs[6].page
    await seventh.evaluate("void fetch('/answer/').then(() => window.answered = true)")
    # Another name for the server has its own connections. They show that the server and the page are able to answer.
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    other = asyncio.ensure_future(
        seventh.evaluate("url => fetch(url, { mode: 'no-cors' }).then(() => true)", f"{elsewhere}/other/")
    )
    await (await server.request("/other/")).respond(200, {})
    assert await other
    assert server.waiting("/answer/") == 0
    await tabs[0].page.evaluate("stream.close()")
    await (await server.request("/answer/")).respond(200, {})
    await seventh.wait_for_function("window.answered")


# Leaders


async def test_tabs_share_a_connection_only_if_the_url_headers_and_name_are_the_same(
    context: BrowserContext, server: ScriptedServer
) -> None:
    tabs = await new_tabs(context, 5)
    await tabs[0].open(headers={"A": "1", "B": "2"})
    await (await server.request("/stream/")).stream()
    await tabs[1].open(headers={"b": "2", "a": "1"})
    await tabs[1].opened()
    assert server.waiting("/stream/") == 0
    await tabs[2].open(headers={"A": "2"})
    assert (await server.request("/stream/")).headers["a"] == b"2"
    await tabs[3].open("/stream/?a=1")
    await server.request("/stream/")
    await tabs[4].open(shared="alice")
    await server.request("/stream/")


async def test_the_next_leader_continues_from_the_last_id(context: BrowserContext, server: ScriptedServer) -> None:
    first, second = await new_tabs(context, 2)
    await first.open()
    request = await server.request("/stream/")
    await request.stream(frames(1))
    await first.received(1)
    await second.open()
    await second.opened()
    await request.send(frames(2))
    await second.received(2)
    await first.page.close()
    await request.disconnected.wait()
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == b"2"
    await request.stream(frames(3))
    await second.received(2, 3)


async def test_a_leader_that_closes_its_stream_hands_over(context: BrowserContext, server: ScriptedServer) -> None:
    first, second = await new_tabs(context, 2)
    await first.open()
    await (await server.request("/stream/")).stream(frames(1))
    await first.received(1)
    await second.open()
    await second.opened()
    await first.page.evaluate("stream.close()")
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == b"1"
    await request.stream(frames(2))
    await second.received(2)


async def test_a_frozen_leader_is_replaced_and_receives_everything_when_it_resumes(
    context: BrowserContext, server: ScriptedServer
) -> None:
    first, second = await new_tabs(context, 2)
    options = {"heartbeatTimeout": 15_000}
    await first.open(**options)
    request = await server.request("/stream/")
    await request.stream(frames(1))
    await first.received(1)
    await second.open(**options)
    await second.opened()
    session = await context.new_cdp_session(first.page)
    await session.send("Page.setWebLifecycleState", {"state": "frozen"})
    await request.disconnected.wait()
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == b"1"
    await request.stream(frames(2, 3))
    await second.received(2, 3)
    await session.send("Page.setWebLifecycleState", {"state": "active"})
    await first.received(1, 2, 3)


async def test_a_leader_that_hangs_is_replaced(context: BrowserContext, server: ScriptedServer) -> None:
    first, second = await new_tabs(context, 2)
    options = {"heartbeatTimeout": 6000}
    await first.open(**options)
    request = await server.request("/stream/")
    await request.stream(frames(1))
    beating = asyncio.create_task(beat(request))  # the connection of the leader must not be what is replaced
    await first.received(1)
    await second.open(**options)
    await second.opened()
    hanging = asyncio.ensure_future(first.page.evaluate("while (true);"))
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == b"1"
    await request.stream(frames(2))
    await second.received(2)
    for task in (beating, hanging):
        task.cancel()
    await asyncio.gather(beating, hanging, return_exceptions=True)


async def beat(request: Exchange) -> None:
    """Send heartbeats."""
    while True:
        await request.send(":\n")
        await asyncio.sleep(0.2)


async def test_the_end_closes_the_stream_of_each_tab(context: BrowserContext, server: ScriptedServer) -> None:
    tabs = await new_tabs(context, 3)
    for tab in tabs:
        await tab.open()
    request = await server.request("/stream/")
    await request.stream()
    for tab in tabs:
        await tab.opened()
    await request.send('data: 1\n\nid: adrf-sse-end\nevent: end\ndata: {"status": "completed"}\n\n')
    for tab in tabs:
        await tab.closed()
        await tab.received(1)
        assert (await tab.page.evaluate("log"))[-1] == ["close", "ended", None]


async def test_a_refusal_reaches_each_tab(context: BrowserContext, server: ScriptedServer) -> None:
    tabs = await new_tabs(context, 3)
    for tab in tabs:
        await tab.open()
    request = await server.request("/stream/")
    await request.stream()
    for tab in tabs:
        await tab.opened()
    await request.end()
    await (await server.request("/stream/")).respond(403, {"detail": "No."})
    for tab in tabs:
        await tab.closed()
        assert (await tab.page.evaluate("log"))[-1] == ["close", "refused", {"detail": "No."}]


async def test_without_web_locks_each_tab_has_its_own_connection(
    context: BrowserContext, server: ScriptedServer
) -> None:
    await context.add_init_script("delete Navigator.prototype.locks")
    for tab in await new_tabs(context, 2):
        await tab.open()
        await (await server.request("/stream/")).stream(frames(1))
        await tab.received(1)


async def test_two_shared_streams_of_one_page_use_one_connection(
    context: BrowserContext, server: ScriptedServer
) -> None:
    tab = await new_tab(context)
    await tab.open()
    request = await server.request("/stream/")
    await request.stream()
    await tab.page.evaluate("window.firstStream = stream")
    await tab.open()
    await tab.opened()
    await request.send(frames(1))
    await tab.received(1)
    await tab.page.evaluate("firstStream.close()")
    assert (await server.request("/stream/")).headers["last-event-id"] == b"1"


# Tabs that join later


async def tabs_with_a_leader(
    context: BrowserContext, server: ScriptedServer, chunk: str = ":\n"
) -> tuple[Tab, Tab, Exchange]:
    """Open a shared stream in the first of two tabs, and return the tabs and the request, whose response has begun."""
    first, second = await new_tabs(context, 2)
    await first.open()
    request = await server.request("/stream/")
    await request.stream(chunk)
    return first, second, request


async def catching_up(tab: Tab, server: ScriptedServer, last_event_id: str) -> Exchange:
    """Open the shared stream in a tab with an older ID, and return the request that the tab sends on its own."""
    await tab.open(lastEventId=last_event_id)
    return await server.request("/stream/")


async def test_a_tab_that_joins_later_starts_with_the_next_event(
    context: BrowserContext, server: ScriptedServer
) -> None:
    first, second, request = await tabs_with_a_leader(context, server, frames(1))
    await first.received(1)
    await second.open()
    await second.opened()
    await request.send(frames(2))
    await second.received(2)
    assert await second.page.evaluate("stream.lastEventId") == "2"


async def test_a_tab_with_an_older_id_reads_what_it_missed_on_its_own(
    context: BrowserContext, server: ScriptedServer
) -> None:
    first, second, shared = await tabs_with_a_leader(context, server, frames(1, 2, 3))
    await first.received(1, 2, 3)
    own = await catching_up(second, server, "1")
    assert own.headers["last-event-id"] == b"1"
    await own.stream(frames(2, 3))
    await own.disconnected.wait()
    await shared.send(frames(4))
    await second.received(2, 3, 4)
    await first.received(1, 2, 3, 4)


async def test_events_that_arrive_while_a_tab_catches_up_are_not_repeated(
    context: BrowserContext, server: ScriptedServer
) -> None:
    first, second, shared = await tabs_with_a_leader(context, server)
    own = await catching_up(second, server, "1")
    await shared.send(frames(3, 4))
    await first.received(3, 4)
    await own.stream(frames(2, 3, 4))
    await own.disconnected.wait()
    await shared.send(frames(5))
    await second.received(2, 3, 4, 5)


async def test_a_tab_that_is_ahead_of_the_leader_drops_what_it_has(
    context: BrowserContext, server: ScriptedServer
) -> None:
    _first, second, shared = await tabs_with_a_leader(context, server)
    own = await catching_up(second, server, "1")
    await own.stream(frames(2, 3))
    await second.received(2, 3)
    await shared.send(frames(2))
    await own.disconnected.wait()
    await shared.send(frames(3, 4))
    await second.received(2, 3, 4)


@pytest.mark.parametrize("position", ["", "event: ready\ndata: {}\n", "event: snapshot\ndata: []\n"])
async def test_a_position_follows_the_events_that_a_tab_has_missed(
    context: BrowserContext, server: ScriptedServer, position: str
) -> None:
    _first, second, shared = await tabs_with_a_leader(context, server, "event: ready\nid: 100\ndata: {}\n\n")
    own = await catching_up(second, server, "50")
    await own.stream(f"{frames(60, 105)}id: 107\n{position}\n")
    await own.disconnected.wait()
    await shared.send(frames(105, 106, 110))
    await second.received(60, 105, 110)


async def test_a_tab_that_reads_slowly_delays_no_other_and_catches_up(
    context: BrowserContext, server: ScriptedServer
) -> None:
    first, second, shared = await tabs_with_a_leader(context, server)
    await second.page.evaluate("""async () => {
        const { open } = await import("/static/adrf_sse/sse.js");
        window.stream = open("/stream/", { shared: true, retry: 1 });
        window.events = stream[Symbol.asyncIterator]();
        await new Promise(resolve => stream.onopen = resolve);
        window.posted = 0;
        window.counter = new BroadcastChannel(`adrf-sse ${JSON.stringify([stream.url, "same-origin", []])}`);
        counter.onmessage = ({ data }) => posted += data.kind === "frame";
    }""")
    count = 3000
    await shared.send(frames(*range(1, count + 1)))
    await first.received(*range(1, count + 1))
    await second.page.wait_for_function("count => posted >= count", arg=count)
    reading = asyncio.ensure_future(
        second.page.evaluate(
            """async count => {
                const numbers = [];
                while (numbers.length < count) numbers.push((await events.next()).value.json());
                return numbers;
            }""",
            count + 1,
        )
    )
    own = await server.request("/stream/")
    after = int(own.headers["last-event-id"])
    assert 1000 <= after < count
    await own.stream(frames(*range(after + 1, count + 1)))
    await own.disconnected.wait()
    await shared.send(frames(count + 1))
    assert await reading == list(range(1, count + 2))


# What tabs do with the messages of a leader: the test leads.

LEAD = """() => {
    const { promise, resolve } = Promise.withResolvers();
    const name = `adrf-sse ${JSON.stringify([new URL("/stream/", location).href, "same-origin", []])}`;
    window.channel = new BroadcastChannel(name);
    window.asked = 0;
    channel.onmessage = ({ data }) => asked += data.kind === "ask";
    navigator.locks.request(name, () => new Promise(() => resolve()));
    return promise;
}"""


class FakeLeader:
    """A page that has the lock and posts what the test tells it to."""

    def __init__(self, tab: Tab) -> None:
        self.page = tab.page

    async def post(self, **message: Any) -> None:
        await self.page.evaluate("message => channel.postMessage(message)", message)

    async def position(self, term: int, number: int, id: int) -> None:
        await self.post(kind="position", term=term, number=number, lastEventId=str(id), isOpen=True)

    async def frame(self, term: int, number: int, id: int) -> None:
        frame = {"type": "message", "data": json.dumps(id), "id": str(id), "lastEventId": str(id)}
        await self.post(kind="frame", term=term, number=number, frame=frame)


@pytest_asyncio.fixture(loop_scope="module")
async def leader(context: BrowserContext) -> FakeLeader:
    leader = FakeLeader(await new_tab(context))
    await leader.page.evaluate(LEAD)
    return leader


async def follow(context: BrowserContext, leader: FakeLeader) -> Tab:
    """Open a tab that has received the first three frames of the leader."""
    tab = await new_tab(context)
    await tab.open()
    await leader.page.wait_for_function("asked > 0")
    await leader.position(1, 0, 0)
    for number in (1, 2, 3):
        await leader.frame(1, number, number)
    await tab.received(1, 2, 3)
    return tab


async def test_a_tab_drops_what_a_new_leader_repeats(context: BrowserContext, leader: FakeLeader) -> None:
    tab = await follow(context, leader)
    await leader.position(2, 0, 1)
    for number, id in enumerate((2, 3, 4), 1):
        await leader.frame(2, number, id)
    await tab.received(1, 2, 3, 4)


async def test_a_tab_ignores_a_leader_that_was_replaced(context: BrowserContext, leader: FakeLeader) -> None:
    tab = await follow(context, leader)
    await leader.position(2, 0, 3)
    await leader.frame(1, 4, 4)
    await leader.frame(2, 1, 4)
    await leader.frame(2, 2, 5)
    await tab.received(1, 2, 3, 4, 5)


async def test_a_tab_reads_on_its_own_what_the_leader_did_not_post_to_it(
    context: BrowserContext, leader: FakeLeader, server: ScriptedServer
) -> None:
    tab = await follow(context, leader)
    await leader.frame(1, 5, 5)
    await leader.page.wait_for_function("asked > 1")
    await leader.position(1, 5, 5)
    own = await server.request("/stream/")
    assert own.headers["last-event-id"] == b"3"
    await own.stream(frames(4, 5))
    await own.disconnected.wait()
    await leader.frame(1, 6, 6)
    await tab.received(1, 2, 3, 4, 5, 6)
