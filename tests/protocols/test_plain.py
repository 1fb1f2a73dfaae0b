"""Clients of any stream: httpx-sse, and fetch-event-source. Each frame that they see has data."""

import httpx
from httpx_sse import aconnect_sse

from tests.protocols.prompts import FAILING, WHOLE

WORDS = [("word", {"word": word}) for word in ("one ", "pause ", "two ")]
ERROR = ("error", {"detail": "A server error occurred.", "code": "error"})


async def read(url, text):
    async with (
        httpx.AsyncClient() as client,
        aconnect_sse(client, "POST", f"{url}/words", json={"text": text}) as source,
    ):
        async for event in source.aiter_sse():
            yield event


async def test_a_whole_stream_in_httpx_sse(url):
    events = [event async for event in read(url, WHOLE)]
    assert [(event.event, event.json()) for event in events] == [*WORDS, ("end", {})]
    assert events[0].retry == 321


async def test_an_error_in_httpx_sse(url):
    assert [(event.event, event.json()) async for event in read(url, FAILING)] == [WORDS[0], ERROR]


async def test_an_aborted_stream_of_httpx_sse_stops_the_model(url, endless_prompt, wait_until_stopped):
    events = read(url, endless_prompt)
    assert (await anext(events)).json() == {"word": "one "}
    await events.aclose()
    wait_until_stopped(endless_prompt)


def test_a_whole_stream_in_fetch_event_source(in_node):
    seen = in_node("fetch_event_source")["whole"]
    assert [(name, data) for name, data, *_ in seen] == [*WORDS, ("end", {})]
    assert seen[0][2] == 321


def test_an_error_in_fetch_event_source(in_node):
    seen = in_node("fetch_event_source")["failing"]
    assert [(name, data) for name, data, *_ in seen] == [WORDS[0], ERROR]


def test_an_aborted_stream_of_fetch_event_source_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("fetch_event_source")["aborted"])
