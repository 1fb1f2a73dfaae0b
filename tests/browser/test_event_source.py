"""Tests of streams with Chromium's EventSource."""

import asyncio
from contextlib import AsyncExitStack

import django
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.project.views import WORDS
from tests.support.browsers import watched_page

pytestmark = [pytest.mark.server, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LISTEN = """url => {
    window.events = [];
    window.source = new EventSource(url);
    window.source.addEventListener("error", () => window.shownAtFirstEnd ??= window.events.length);
    for (const name of ["message", "one", "two", "three"])
        window.source.addEventListener(name, event => window.events.push([name, event.data, event.lastEventId]));
}"""
FETCH = """url => {
    window.events = [];
    window.ended = fetch(url).then(async response => {
        let text = "";
        for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
            const frames = (text + piece).split("\\n\\n");
            text = frames.pop();
            for (const frame of frames) window.events.push(["message", frame]);
        }
        return response.headers.get("content-encoding");
    });
}"""
GZIP = "django.middleware.gzip.GZipMiddleware"


@pytest_asyncio.fixture(loop_scope="module")
async def browse(browser: Browser, project):
    """Open a page of the test project with the given middleware."""

    async def browse(*middleware):
        watched = await stack.enter_async_context(watched_page(browser))
        await watched.page.goto(f"{project('uvicorn', *middleware).base_url}/page/")
        return watched

    async with AsyncExitStack() as stack:
        yield browse


async def receive_word_by_word(page, gates):
    for count, word in enumerate(WORDS, 1):
        await page.wait_for_function("count => window.events.length === count", arg=count)
        assert (await page.evaluate("window.events"))[-1][0] in (word, "message")
        if count < len(WORDS):
            await asyncio.to_thread((gates / WORDS[count]).write_bytes, b".")
    return await page.evaluate("window.events")


async def test_named_events_fire_with_their_ids_and_a_finite_stream_is_not_reopened(browse):
    watched = await browse()
    await watched.page.evaluate(LISTEN, "/finite/")
    await watched.page.wait_for_function("window.source.readyState === EventSource.CLOSED")
    assert await watched.page.evaluate("window.events") == [
        [word, f'{{"word":"{word}"}}', f"é-{word}"] for word in WORDS
    ]
    assert watched.statuses_of("/finite/") == [200, 204]


@pytest.mark.parametrize("view", ["view", "plain", "renderer-only-sync"])
async def test_events_arrive_one_by_one_behind_gzip_middleware(browse, gates, view):
    watched = await browse(GZIP)
    await watched.page.evaluate(LISTEN, f"/{view}/async/?status=200&gates={gates}")
    events = await receive_word_by_word(watched.page, gates)
    assert [data for _, data, _ in events] == list(WORDS)


async def test_an_event_source_receives_each_event_of_a_compressed_stream_when_it_is_sent(browse, gates):
    watched = await browse()
    await watched.page.evaluate(LISTEN, f"/compressed-finite/?gates={gates}")
    events = await receive_word_by_word(watched.page, gates)
    assert [event_id for _, _, event_id in events] == [f"é-{word}" for word in WORDS]
    await watched.page.wait_for_function("window.source.readyState === EventSource.CLOSED")
    streamed = [response for response in watched.responses if "/compressed-finite/" in response.url]
    assert [response.status for response in streamed] == [200, 204]
    assert (await streamed[0].all_headers())["content-encoding"] == "gzip"


async def test_fetch_receives_each_event_of_a_compressed_stream_when_it_is_sent(browse, gates):
    watched = await browse()
    await watched.page.evaluate(FETCH, f"/compressed/async/?gates={gates}")
    events = await receive_word_by_word(watched.page, gates)
    assert [data for _, data in events] == [f"data: {word}" for word in WORDS]
    assert await watched.page.evaluate("window.ended") == "gzip"


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6 compresses a stream as one gzip member")
async def test_without_the_package_only_the_first_event_arrives_behind_gzip_middleware(browse):
    watched = await browse(GZIP)
    await watched.page.evaluate(LISTEN, "/naive/")
    await watched.page.wait_for_function("window.shownAtFirstEnd !== undefined")
    assert await watched.page.evaluate("window.shownAtFirstEnd") == 1


async def test_without_the_package_the_browser_reopens_a_stream_that_ended(browse):
    watched = await browse()
    await watched.page.evaluate(LISTEN, "/naive/")
    await watched.page.wait_for_function("window.events.length > 3")
    await watched.page.evaluate("window.source.close()")
    assert (await watched.page.evaluate("window.events"))[3][1] == WORDS[0]
