"""Tests of ``sse.js`` in Chromium: how it reads one stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from adrf_sse.testing import EventParser
from tests.project.console_views import TORN
from tests.support.browsers import watched_page
from tests.support.parameters import slow_except
from tests.support.scripted_server import ScriptedServer
from tests.unit.test_parsers import STREAMS

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

OPEN = """async ({ url, options, names }) => {
    const sse = await import("/static/adrf_sse/sse.js");
    window.log = [];
    window.aborter = new AbortController();
    const stream = window.stream = sse.open(url, { signal: aborter.signal, ...options });
    for (const name of names) stream.addEventListener(name, event => log.push([name, event.data, event.lastEventId]));
    stream.onopen = () => log.push(["open"]);
    stream.onerror = ({ error, delay }) => log.push(["lost", error && error.name, delay === null ? null : "again"]);
    stream.onclose = ({ reason }) => log.push(["close", reason]);
}"""
ITERATE = """async ({ url, options }) => {
    const sse = await import("/static/adrf_sse/sse.js");
    const stream = window.stream = sse.open(url, options);
    const events = [];
    try {
        for await (const event of stream) events.push([event.type, event.data]);
    } catch (error) {
        const { name, message, status, body } = error;
        return { events, error: { name, message, status, body } };
    }
    return { events, state: stream.readyState };
}"""
QUICK = {"retry": 1}
FLOOD = 300
"""MiB that a server tries to send to a page that does not read."""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, server: ScriptedServer) -> AsyncIterator[Page]:
    async with watched_page(browser, base_url=server.url) as watched:
        await watched.page.goto("/page/")
        yield watched.page
        # Chromium reports every failed request, and the tests make requests fail.
        watched.errors[:] = [error for error in watched.errors if not error.startswith("Failed to load resource")]


Open = Callable[..., Awaitable[None]]


@pytest.fixture
def open_stream(page: Page) -> Open:
    """Open a stream that logs its events in the page."""

    async def open_stream(url: str = "/stream/", names: tuple[str, ...] = ("message",), **options: Any) -> None:
        await page.evaluate(OPEN, {"url": url, "options": QUICK | options, "names": names})

    return open_stream


async def iterate(page: Page, url: str = "/stream/", **options: Any) -> Any:
    """Iterate over a stream to its end, and return its events and its error."""
    return await page.evaluate(ITERATE, {"url": url, "options": QUICK | options})


async def logged(page: Page, *entries: list[Any]) -> None:
    """Wait until the log has as many entries, and compare them."""
    await page.wait_for_function("count => log.length >= count", arg=len(entries))
    assert await page.evaluate("log") == list(entries)


OPENED, ENDED = ["open"], ["close", "ended"]
AGAIN = ["lost", None, "again"]
LOST = ["lost", "LostError", "again"]


def message(data: str, id: str = "") -> list[Any]:
    return ["message", data, id]


# The parser

PARSE = """async cases => {
    const { EventStreamParser } = await import("/static/adrf_sse/sse.js");
    const plain = ({ type, data, lastEventId }) => [type, data, lastEventId];
    return cases.map(bytes => {
        const chunk = new Uint8Array(bytes);
        const results = [new EventStreamParser().feed(chunk).map(plain)];
        const parser = new EventStreamParser();
        results.push(Array.from(chunk, byte => parser.feed(new Uint8Array([byte]))).flat().map(plain));
        for (let at = 0; at <= chunk.length; at += 1) {
            const parser = new EventStreamParser();
            results.push([...parser.feed(chunk.subarray(0, at)), ...parser.feed(chunk.subarray(at))].map(plain));
        }
        return results;
    });
}"""
PARSED = [
    *(stream for stream, _ in STREAMS),
    TORN,
    "data: é😀\nid: ü\n\n".encode(),
    "\ufeff: c\n\ufeffdata\n\n".encode(),
]


async def test_the_parser_gives_what_the_parser_in_python_gives_however_the_stream_is_split(page: Page) -> None:
    results = await page.evaluate(PARSE, [list(stream) for stream in PARSED])
    for stream, splits in zip(PARSED, results, strict=True):
        events = [[event.event or "message", event.data, event.id or ""] for event in EventParser().feed(stream)]
        assert all(split == events for split in splits), stream


async def test_the_parser_sets_retry_without_an_empty_line(page: Page) -> None:
    retries = await page.evaluate("""async () => {
        const { EventStreamParser } = await import("/static/adrf_sse/sse.js");
        const retries = [];
        const parser = new EventStreamParser({ onRetry: retry => retries.push(retry) });
        const lines = ["retry: 100", "retry: 1x", "retry: -1", "retry:", "retry: ٣", "retry: 0", "retry: 7"];
        parser.feed(new TextEncoder().encode(lines.join("\\n")));
        return retries;
    }""")
    assert retries == [100, 0]


# Requests


async def test_a_plain_object_is_posted_as_json(page: Page, server: ScriptedServer, open_stream: Open) -> None:
    await open_stream(body={"prompt": "é"}, headers={"Authorization": "Token 1"})
    request = await server.request("/stream/")
    assert request.method == "POST"
    assert json.loads(request.body) == {"prompt": "é"}
    assert request.headers["content-type"] == b"application/json"
    assert request.headers["accept"] == b"text/event-stream"
    assert request.headers["authorization"] == b"Token 1"


async def test_the_last_event_id_is_sent_as_utf_8(page: Page, server: ScriptedServer, open_stream: Open) -> None:
    await open_stream(lastEventId="é-1")
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == "é-1".encode()
    await request.stream("id: ü😀\ndata: one\n\n")
    await request.end()
    request = await server.request("/stream/")
    assert request.headers["last-event-id"] == "ü😀".encode()
    await request.stream("id\n\n")
    await request.end()
    assert "last-event-id" not in (await server.request("/stream/")).headers


async def test_a_function_provides_the_headers_of_each_request(page: Page, server: ScriptedServer) -> None:
    await page.evaluate("""async () => {
        const { open } = await import("/static/adrf_sse/sse.js");
        let token = 0;
        open("/stream/", { retry: 1, headers: async () => ({ Authorization: `Token ${token += 1}` }) });
    }""")
    for token in (b"Token 1", b"Token 2"):
        request = await server.request("/stream/")
        assert request.headers["authorization"] == token
        await request.stream()
        await request.end()


async def test_a_mistake_in_the_options_raises_at_once(page: Page) -> None:
    for options, message in (
        ('{ mehtod: "POST" }', "got mehtod"),
        ('{ method: "GET", body: "x" }', "body"),
        ('{ headers: { "a b": "c" } }', ""),
        ('{ lastEventId: "1\\n2" }', ""),
        ("{ shared: true, body: {} }", "Expected GET for a shared stream, got POST"),
        ("{ shared: true, headers: () => ({}) }", "Expected a name in `shared`"),
    ):
        error = await page.evaluate(f"""async () => {{
            const {{ open }} = await import("/static/adrf_sse/sse.js");
            try {{ open("/stream/", {options}); }} catch (error) {{ return [error.name, error.message]; }}
        }}""")
        assert error is not None, options
        assert error[0] == "TypeError", options
        assert message in error[1], options


# Reconnection


async def test_a_stream_that_ends_or_is_lost_is_resumed(page: Page, server: ScriptedServer, open_stream: Open) -> None:
    await open_stream()
    first = await server.request("/stream/")
    await first.stream("id: 1\ndata: one\n\n")
    await first.end()
    second = await server.request("/stream/")
    assert second.headers["last-event-id"] == b"1"
    await second.stream("id: 2\ndata: two\n\nid: 3\ndata: incomplete")
    await logged(page, OPENED, message("one", "1"), AGAIN, OPENED, message("two", "2"))
    second.drop()
    third = await server.request("/stream/")
    assert third.headers["last-event-id"] == b"2"
    await third.stream("data: three\n\n")
    expected = [OPENED, message("one", "1"), AGAIN, OPENED, message("two", "2"), LOST, OPENED, message("three", "2")]
    await logged(page, *expected)


async def test_a_204_response_ends_the_stream(page: Page, server: ScriptedServer, open_stream: Open) -> None:
    await open_stream()
    await (await server.request("/stream/")).respond(204)
    await logged(page, ENDED)
    assert await page.evaluate("stream.readyState") == 2


@pytest.mark.parametrize("status", slow_except([429, 503], [429, 502, 503, 504]))
async def test_a_temporary_refusal_is_repeated(
    page: Page, server: ScriptedServer, open_stream: Open, status: int
) -> None:
    await open_stream()
    await (await server.request("/stream/")).respond(status, {"detail": "Busy."}, Retry_After="0")
    await (await server.request("/stream/")).stream("data: one\n\n")
    await logged(page, ["lost", "RefusedError", "again"], OPENED, message("one"))


@pytest.mark.parametrize(
    ("retry_after", "shortest"),
    [("7200", 7_200_000), ("Fri, 31 Dec 2100 23:59:59 GMT", 10**11), ("soon", 0), ("-1", 0)],
)
async def test_the_delay_is_at_least_what_retry_after_says(
    page: Page, server: ScriptedServer, retry_after: str, shortest: int
) -> None:
    delay = await asyncio.gather(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            const stream = open("/stream/", { retry: 1000 });
            const event = await new Promise(resolve => stream.onerror = resolve);
            stream.close();
            return event.delay;
        }"""),
        refuse_once(server, retry_after),
    )
    shortest = max(shortest, 1000)
    assert shortest <= delay[0] <= shortest * 100


async def refuse_once(server: ScriptedServer, retry_after: str) -> None:
    await (await server.request("/stream/")).respond(503, Retry_After=retry_after)


async def test_the_delay_grows_while_connections_fail_and_shrinks_after_one_that_sends(
    page: Page, server: ScriptedServer
) -> None:
    evaluated = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            const stream = open("/stream/", { retry: 8, maxRetry: 20, onComment: () => window.commented = true });
            const delays = [];
            return new Promise(resolve => stream.onerror = ({ delay }) => delays.push(delay) === 5 && resolve(delays));
        }""")
    )
    for _ in range(3):
        await (await server.request("/stream/")).respond(503)
    fourth = await server.request("/stream/")
    await fourth.stream(":\n")
    await page.wait_for_function("window.commented")
    fourth.drop()
    await (await server.request("/stream/")).respond(503)
    delays = await evaluated
    for delay, base in zip(delays, [8, 16, 20, 8, 16], strict=True):
        assert base <= delay <= base * 1.5 + 1, delays


async def test_a_retry_line_without_an_empty_line_is_obeyed(
    page: Page, server: ScriptedServer, open_stream: Open
) -> None:
    await open_stream(retry=3_600_000)
    first = await server.request("/stream/")
    await first.stream("retry: 1\n")
    await first.end()
    await server.request("/stream/")


async def test_a_request_without_a_response_is_repeated(page: Page, server: ScriptedServer, open_stream: Open) -> None:
    await open_stream(heartbeatTimeout=50)
    first = await server.request("/stream/")
    await first.disconnected.wait()
    await server.request("/stream/")


async def test_a_connection_that_falls_silent_is_replaced(
    page: Page, server: ScriptedServer, open_stream: Open
) -> None:
    await open_stream(heartbeatTimeout=200)

    async def fall_silent() -> None:
        while True:
            await (await server.request("/stream/")).stream("data: one\n\n")

    silent = asyncio.ensure_future(fall_silent())
    await page.wait_for_function("log.slice(log.findIndex(([type]) => type === 'message')).length > 1")
    silent.cancel()
    log = await page.evaluate("log")
    assert log[log.index(message("one")) + 1] == LOST


async def test_a_stream_reconnects_when_the_computer_is_online_again(
    page: Page, server: ScriptedServer, open_stream: Open
) -> None:
    await open_stream(retry=3_600_000)
    request = await server.request("/stream/")
    await request.stream()
    await request.end()
    await logged(page, OPENED, AGAIN)
    await page.context.set_offline(True)
    await page.context.set_offline(False)
    await server.request("/stream/")


# The end


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        ("id: adrf-sse-end\n\n", []),
        ("id: adrf-sse-end\nevent: end\ndata: {}\n\n", [["end", "{}"]]),
        ("id: adrf-sse-end\nevent: error\ndata: {}\n\n", [["error", "{}"]]),
        ("id: adrf-sse-end\ndata: [DONE]\n\n", [["message", "[DONE]"]]),
    ],
)
async def test_the_id_of_the_end_ends_the_stream(
    page: Page, server: ScriptedServer, frame: str, events: list[Any]
) -> None:
    iterated = asyncio.ensure_future(iterate(page))
    request = await server.request("/stream/")
    await request.stream(f"data: one\n\n{frame}data: ignored\n\n")
    assert await iterated == {"events": [["message", "one"], *events], "state": 2}
    await request.disconnected.wait()
    assert server.waiting("/stream/") == 0


async def test_a_posted_stream_ends_with_its_response(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page, body={}))
    request = await server.request("/stream/")
    await request.stream("data: one\n\n")
    await request.end()
    assert await iterated == {"events": [["message", "one"]], "state": 2}


async def test_a_posted_stream_that_is_lost_is_not_sent_again(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page, body={}))
    request = await server.request("/stream/")
    await request.stream("id: 1\ndata: one\n\n")
    await page.wait_for_function("stream.lastEventId === '1'")
    request.drop()
    result = await iterated
    assert result["events"] == [["message", "one"]]
    assert result["error"]["name"] == "LostError"
    assert server.waiting("/stream/") == 0


async def test_a_posted_stream_that_is_lost_is_sent_again_on_request(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page, body={"a": 1}, resend=True))
    first = await server.request("/stream/")
    await first.stream("id: 1\ndata: one\n\n")
    await page.wait_for_function("stream.lastEventId === '1'")
    first.drop()
    second = await server.request("/stream/")
    assert (second.method, second.body, second.headers["last-event-id"]) == ("POST", b'{"a":1}', b"1")
    await second.stream("data: two\n\n")
    await second.end()
    assert await iterated == {"events": [["message", "one"], ["message", "two"]], "state": 2}


@pytest.mark.parametrize("lost", [True, False])
async def test_a_posted_stream_with_a_location_is_continued_from_there(
    page: Page, server: ScriptedServer, lost: bool
) -> None:
    iterated = asyncio.ensure_future(iterate(page, "/chat/", body={"a": 1}, headers={"X-Token": "t"}))
    first = await server.request("/chat/")
    await first.start(201, {"Content-Type": "text/event-stream", "Location": "7/"})
    await first.send("id: 1\ndata: one\n\n")
    await page.wait_for_function("stream.lastEventId === '1'")
    await (first.end() if not lost else asyncio.to_thread(first.drop))
    second = await server.request("/chat/7/")
    assert (second.method, second.body, second.headers["last-event-id"]) == ("GET", b"", b"1")
    assert second.headers["x-token"] == b"t"
    assert "content-type" not in second.headers
    await second.stream("id: 2\ndata: two\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n")
    assert (await iterated)["events"] == [["message", "one"], ["message", "two"], ["end", "{}"]]


@pytest.mark.parametrize("status", [204, 404])
async def test_a_posted_stream_is_complete_if_its_location_has_no_more(
    page: Page, server: ScriptedServer, status: int
) -> None:
    iterated = asyncio.ensure_future(iterate(page, "/chat/", body={}, retry=3_600_000))
    first = await server.request("/chat/")
    await first.start(200, {"Content-Type": "text/event-stream", "Location": "/chat/7/"})
    await first.send("data: one\n\n")
    await first.end()
    await (await server.request("/chat/7/")).respond(status)
    assert await iterated == {"events": [["message", "one"]], "state": 2}


async def test_an_event_named_end_completes_a_posted_stream(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page, "/chat/", body={}))
    first = await server.request("/chat/")
    await first.start(200, {"Content-Type": "text/event-stream", "Location": "/chat/7/"})
    await first.send("event: end\ndata: {}\n\n")
    await first.end()
    assert await iterated == {"events": [["end", "{}"]], "state": 2}
    assert server.waiting("/chat/7/") == 0


async def test_a_location_on_another_origin_is_not_requested(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page, "/chat/", body={}))
    first = await server.request("/chat/")
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    await first.start(201, {"Content-Type": "text/event-stream", "Location": f"{elsewhere}/chat/7/"})
    await first.end()
    assert (await iterated)["events"] == []
    assert server.waiting("/chat/7/") == 0


# Refusals


async def test_a_refusal_carries_the_response(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page))
    await (await server.request("/stream/")).respond(403, {"detail": "No."})
    error = (await iterated)["error"]
    assert (error["name"], error["status"], error["body"]) == ("RefusedError", 403, {"detail": "No."})
    assert error["message"].startswith(f"Expected an event stream from {server.url}/stream/, got 403")


@pytest.mark.parametrize(
    ("status", "content_type"),
    slow_except(
        [(200, "text/event-streams"), (500, "")],
        [
            (200, "text/html"),
            (200, "text/event-streams"),
            (200, "application/json"),
            (201, "text/event-stream"),
            (500, ""),
        ],
    ),
)
async def test_another_status_or_content_type_is_refused(
    page: Page, server: ScriptedServer, open_stream: Open, status: int, content_type: str
) -> None:
    await open_stream()
    request = await server.request("/stream/")
    await request.start(status, {"Content-Type": content_type} if content_type else {})
    await request.send("{no json")
    await request.end()
    await logged(page, ["lost", "RefusedError", None], ["close", "refused"])
    assert server.waiting("/stream/") == 0


async def test_the_text_of_a_refusal_that_is_not_json_is_kept(page: Page, server: ScriptedServer) -> None:
    iterated = asyncio.ensure_future(iterate(page))
    request = await server.request("/stream/")
    await request.start(500, {"Content-Type": "application/json"})
    await request.send("{no json")
    await request.end()
    assert (await iterated)["error"]["body"] == "{no json"


# Reading


async def test_events_have_the_properties_of_an_eventsource(page: Page, server: ScriptedServer) -> None:
    evaluated = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            const stream = open("/stream/");
            const event = await new Promise(resolve => stream.addEventListener("price", resolve));
            const { type, data, lastEventId, id, origin } = event;
            const { url, readyState } = stream;
            return [event instanceof MessageEvent, type, data, event.json(), lastEventId, id, origin, url, readyState];
        }""")
    )
    await (await server.request("/stream/")).stream('id: 1\n\nevent: price\ndata: {"eur": 1}\n\n')
    assert await evaluated == [
        *(True, "price", '{"eur": 1}', {"eur": 1}, "1", None, server.url),
        *(f"{server.url}/stream/", 1),
    ]


async def test_events_that_arrive_before_anyone_reads_are_kept(page: Page, server: ScriptedServer) -> None:
    opened = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            window.stream = open("/stream/");
            await new Promise(resolve => stream.onopen = resolve);
        }""")
    )
    request = await server.request("/stream/")
    await request.stream("data: one\n\ndata: two\n\n")
    await opened
    first = await page.evaluate("new Promise(resolve => stream.onmessage = event => resolve(event.data))")
    assert first == "one"


async def test_a_reader_that_stops_also_stops_the_server(page: Page, server: ScriptedServer) -> None:
    """The server can't send on once the buffers between it and the page are full."""
    reading = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            window.events = open("/stream/")[Symbol.asyncIterator]();
            window.numbers = [];
            window.read = async () => numbers.push(parseInt((await events.next()).value.data));
            await read();
        }""")
    )
    request = await server.request("/stream/")
    await request.start()
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < FLOOD:
            await request.send(f"data: {sent} {'x' * 2**20}\n\n")
            sent += 1

    flooding = asyncio.ensure_future(flood())
    await reading
    for _ in range(1000):  # a page that read on would have read everything by then
        await page.evaluate("new Promise(resolve => setTimeout(resolve))")
    assert sent < FLOOD / 2
    await page.evaluate("async count => { while (numbers.length < count) await read(); }", FLOOD)
    await flooding
    assert await page.evaluate("numbers") == list(range(FLOOD))


async def test_leaving_the_loop_closes_the_connection(page: Page, server: ScriptedServer) -> None:
    evaluated = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            const stream = open("/stream/");
            for await (const event of stream) break;
            return stream.readyState;
        }""")
    )
    request = await server.request("/stream/")
    await request.stream("data: one\n\ndata: two\n\n")
    assert await evaluated == 2
    await request.disconnected.wait()


async def test_an_aborted_signal_closes_the_stream_and_ends_the_iteration(page: Page, server: ScriptedServer) -> None:
    evaluated = asyncio.ensure_future(
        page.evaluate("""async () => {
            const { open } = await import("/static/adrf_sse/sse.js");
            const aborter = new AbortController();
            const stream = open("/stream/", { signal: aborter.signal });
            stream.onopen = () => aborter.abort();
            try { for await (const event of stream); } catch (error) { return [error.name, stream.readyState]; }
        }""")
    )
    request = await server.request("/stream/")
    await request.stream()
    assert await evaluated == ["AbortError", 2]
    await request.disconnected.wait()


async def test_close_during_the_delay_prevents_the_reconnection(page: Page, server: ScriptedServer) -> None:
    await page.evaluate("""async () => {
        const { open } = await import("/static/adrf_sse/sse.js");
        window.first = open("/first/", { retry: 1 });
        window.other = open("/other/", { retry: 1 });
        first.onerror = () => first.close();
    }""")
    for path in ("/first/", "/other/"):
        request = await server.request(path)
        await request.stream()
        await request.end()
        await page.wait_for_function("first.readyState === 2")
    await server.request("/other/")  # its delay began after that of the closed stream
    assert server.waiting("/first/") == 0


async def test_a_stream_can_be_iterated_only_once(page: Page) -> None:
    error = await page.evaluate("""async () => {
        const { open } = await import("/static/adrf_sse/sse.js");
        const stream = open("/stream/");
        stream[Symbol.asyncIterator]();
        try { stream[Symbol.asyncIterator](); } catch (error) { return error.message; }
    }""")
    assert error.startswith("The stream is already being iterated.")
