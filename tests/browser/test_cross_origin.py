"""Tests of what docs/cross-origin.md says about pages of other origins, with Chromium."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from itertools import count

import httpx
import pytest
import pytest_asyncio
import trustme

from adrf_sse.events import END_ID
from tests.servers.test_servers import ROOT, UVICORN
from tests.support.browsers import chromium_with_preferences
from tests.support.servers import serve

# All tests of a worker share the servers and the browser.
pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

RESOLVE = "--host-resolver-rules=MAP *.test 127.0.0.1"
API = "api.shop.test"
SAME_SITE, CROSS_SITE = "www.shop.test", "partner.test"
SITES = [SAME_SITE, CROSS_SITE]

LISTEN = """([url, withCredentials, count]) => new Promise(resolve => {
    const events = [], source = new EventSource(url, {withCredentials});
    const end = () => { resolve([events, source.readyState, source.failure]); source.close(); };
    source.addEventListener("hello", event => events.push(JSON.parse(event.data)) === count && end());
    source.addEventListener("error", event => {
        if (source.readyState !== EventSource.CLOSED) return;
        source.failure = [event.constructor.name, event.message, event.status, event.data];
        end();
    });
})"""
CONNECTED, CLOSED = 1, 2
NO_DETAILS = ["Event", None, None, None]
REFUSED = [[], CLOSED, NO_DETAILS]

FETCH = """async ([url, options]) => {
    let response;
    try { response = await fetch(url, options); } catch (error) { return {error: String(error)}; }
    const {status, type, headers, body} = response, read = {status, type, headers: Object.fromEntries(headers)};
    if (body === null) return read;
    const reader = body.getReader(), {value} = await reader.read();
    await reader.cancel();
    return {...read, text: new TextDecoder().decode(value)};
}"""
UNREADABLE = {"error": "TypeError: Failed to fetch"}
JSON_TYPE = {"Content-Type": "application/json"}
NOT_AUTHENTICATED = '{"detail":"Authentication credentials were not provided."}'


def hello(**data):
    return f"event: hello\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Servers:
    """Servers of the same project with different settings."""

    def __init__(self, folder, stack):
        self._stack = stack
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "tests.project.cross_origin_settings",
            "TEST_DATABASE": str(folder / "db.sqlite3"),
        }
        self.closed = self._serve(SESSION_COOKIE_SAMESITE="None")
        self.port = self.closed.url.rpartition(":")[2]
        origins = [f"http://{host}:{self.port}" for host in [*SITES, "localhost"]]
        self.allowing = self._serve(CORS_ALLOWED_ORIGINS=origins)
        self.credentials = self._serve(
            CORS_ALLOWED_ORIGINS=origins,
            CORS_ALLOW_CREDENTIALS=True,
            CORS_ALLOW_HEADERS=["accept", "authorization", "content-type", "x-csrftoken", "last-event-id"],
            CORS_EXPOSE_HEADERS=["Retry-After"],
            CSRF_TRUSTED_ORIGINS=[f"http://{SAME_SITE}:{self.port}"],
            CSRF_COOKIE_DOMAIN=".shop.test",
        )
        self.secure = self._serve(
            "--ssl-certfile",
            certificate(folder),
            CORS_ALLOW_ALL_ORIGINS=True,
            CORS_ALLOW_CREDENTIALS=True,
            SESSION_COOKIE_SAMESITE="None",
            SESSION_COOKIE_SECURE=True,
        )
        self.secure.url = self.secure.url.replace("http:", "https:")
        migrate = [sys.executable, "-m", "django", "migrate", "-v0"]
        subprocess.run(migrate, env=os.environ | self._environment, cwd=ROOT, check=True)

    def _serve(self, *arguments, **settings):
        environment = self._environment | {"TEST_CORS": json.dumps(settings)}
        return self._stack.enter_context(serve([*UVICORN, *arguments], env=environment, cwd=ROOT))


def certificate(folder):
    """Return the path of a certificate and its key, which no browser trusts."""
    path = str(folder / "certificate.pem")
    trustme.CA().issue_cert(API).private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


def browser(folder, *, third_party_cookies):
    profile = {
        "block_third_party_cookies": not third_party_cookies,
        "cookie_controls_mode": int(not third_party_cookies),
    }
    return chromium_with_preferences(folder, {"profile": profile}, RESOLVE, ignore_https_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_visitor(servers, tmp_path_factory):
    async with browser(tmp_path_factory.mktemp("browser"), third_party_cookies=True) as context:
        yield Visitor(servers, await context.new_page())


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(shared_visitor):
    await shared_visitor.page.context.clear_cookies()
    return shared_visitor


_queries = map(str, count())


class Visitor:
    """A user whose browser shows one page, which requests streams."""

    def __init__(self, servers, page):
        self.servers = servers
        self.page = page

    async def log_in(self, server, host=API):
        """Log in on the server's own page, which is not cross-origin, and return the token."""
        response = await self.page.goto(self.url(server, "/login/", host))
        return (await response.json())["token"]

    async def open_page(self, host):
        await self.page.goto(self.url(self.servers.closed, "/page/", host))

    async def event_source(self, server, path, *, credentials=False, events=1, host=API):
        """Return the events of an EventSource, its state and its error, when it has ``events`` or is closed."""
        return await self.page.evaluate(LISTEN, [self.url(server, path, host), credentials, events])

    async def fetch(self, server, path, **options):
        """Return what the page can read of a response: its status, its headers and its first chunk."""
        return await self.page.evaluate(FETCH, [self.url(server, path, API), options])

    async def cookies(self):
        return {cookie["name"]: cookie["value"] for cookie in await self.page.context.cookies()}

    def methods(self, server, more=""):
        """Return the methods of the requests that a server received for the last URL, to which ``more`` was added."""
        return httpx.get(f"{server.url}/requests/{self._query}{more}/").json()

    def url(self, server, path, host):
        """Return a URL with a query of its own."""
        self._query = next(_queries)
        scheme, _, address = server.url.partition("://")
        return f"{scheme}://{host}:{address.rpartition(':')[2]}{path}?{self._query}"


# What a page may read without permission


@pytest.mark.parametrize("site", SITES)
async def test_without_permission_a_page_reads_nothing_but_the_server_responds(visitor, servers, site):
    await visitor.open_page(site)
    assert await visitor.event_source(servers.closed, "/public/") == REFUSED
    assert visitor.methods(servers.closed) == ["GET"]
    assert await visitor.fetch(servers.closed, "/public/") == UNREADABLE
    assert visitor.methods(servers.closed) == ["GET"]
    opaque = {"status": 0, "type": "opaque", "headers": {}}
    assert await visitor.fetch(servers.closed, "/public/", mode="no-cors") == opaque
    assert visitor.methods(servers.closed) == ["GET"]


async def test_without_permission_a_request_with_a_token_does_not_reach_the_view(visitor, servers):
    await visitor.open_page(SAME_SITE)
    assert await visitor.fetch(servers.closed, "/private/", headers={"Authorization": "Token x"}) == UNREADABLE
    assert visitor.methods(servers.closed) == ["OPTIONS"]


# EventSource


@pytest.mark.parametrize("site", SITES)
async def test_an_event_source_reads_a_public_stream_from_an_allowed_origin(visitor, servers, site):
    await visitor.open_page(site)
    events = [{"last": None, "session": False}]
    assert await visitor.event_source(servers.allowing, "/public/") == [events, CONNECTED, None]
    assert visitor.methods(servers.allowing) == ["GET"]


async def test_an_origin_that_is_not_listed_reads_nothing(visitor, servers):
    await visitor.open_page("other.test")
    assert await visitor.event_source(servers.allowing, "/public/") == REFUSED


async def test_with_credentials_needs_cors_allow_credentials(visitor, servers):
    await visitor.open_page(SAME_SITE)
    assert await visitor.event_source(servers.allowing, "/public/", credentials=True) == REFUSED


async def test_without_credentials_an_event_source_sends_no_cookie_to_another_origin(visitor, servers):
    await visitor.log_in(servers.credentials)
    await visitor.open_page(SAME_SITE)
    events = [{"last": None, "session": False}]
    assert await visitor.event_source(servers.credentials, "/public/") == [events, CONNECTED, None]
    assert await visitor.event_source(servers.credentials, "/private/") == REFUSED


async def test_with_credentials_a_page_of_the_same_site_has_its_session(visitor, servers):
    await visitor.log_in(servers.credentials)
    await visitor.open_page(SAME_SITE)
    answer = await visitor.event_source(servers.credentials, "/private/", credentials=True)
    assert answer == [[{"user": "alice"}], CONNECTED, None]


async def test_two_ports_of_localhost_are_one_site_but_127_0_0_1_is_another(visitor, servers):
    for host, answer in ("localhost", [[{"user": "alice"}], CONNECTED, None]), ("127.0.0.1", REFUSED):
        await visitor.log_in(servers.credentials, host)
        await visitor.open_page("localhost")
        assert await visitor.event_source(servers.credentials, "/private/", credentials=True, host=host) == answer


async def test_with_credentials_a_page_of_another_site_has_no_session(visitor, servers):
    await visitor.log_in(servers.credentials)
    await visitor.open_page(CROSS_SITE)
    assert await visitor.event_source(servers.credentials, "/private/", credentials=True) == REFUSED
    answer = await visitor.fetch(servers.credentials, "/private/", credentials="include")
    assert (answer["status"], answer["text"]) == (403, NOT_AUTHENTICATED)


# SameSite=None


async def test_a_browser_does_not_store_a_session_with_samesite_none_without_secure(visitor, servers):
    await visitor.log_in(servers.closed)
    assert "sessionid" not in await visitor.cookies()


async def test_a_session_with_samesite_none_and_secure_is_sent_from_every_site(visitor, servers):
    await visitor.log_in(servers.secure)
    for host in CROSS_SITE, "other.test":
        await visitor.open_page(host)
        answer = await visitor.event_source(servers.secure, "/private/", credentials=True)
        assert answer == [[{"user": "alice"}], CONNECTED, None]


async def test_a_browser_that_blocks_third_party_cookies_sends_no_session_from_another_site(servers, tmp_path):
    async with browser(tmp_path, third_party_cookies=False) as context:
        visitor = Visitor(servers, await context.new_page())
        await visitor.log_in(servers.secure)
        assert "sessionid" in await visitor.cookies()
        await visitor.open_page(CROSS_SITE)
        assert await visitor.event_source(servers.secure, "/private/", credentials=True) == REFUSED


# Reconnecting


@pytest.mark.parametrize("event_id", ["7", END_ID, "a:b", "é", "x" * 200], ids=["number", "end", "colon", "é", "long"])
async def test_an_event_source_that_reconnects_sends_its_id_without_a_preflight(visitor, servers, event_id):
    await visitor.open_page(CROSS_SITE)
    events = [{"last": None}, {"last": event_id}]
    answer = await visitor.event_source(servers.allowing, f"/resumed/{event_id}/", events=2)
    assert answer == [events, CONNECTED, None]
    assert visitor.methods(servers.allowing) == ["GET", "GET"]


async def test_a_page_of_another_origin_does_not_reopen_a_finite_stream(visitor, servers):
    await visitor.open_page(CROSS_SITE)
    assert await visitor.event_source(servers.allowing, "/finite/", events=2) == [[{}], CLOSED, NO_DETAILS]
    assert visitor.methods(servers.allowing) == ["GET", "GET"]


@pytest.mark.parametrize("event_id", ["7", "a:b"], ids=["number", "colon"])
async def test_fetch_with_last_event_id_needs_cors_allow_headers(visitor, servers, event_id):
    await visitor.open_page(SAME_SITE)
    headers = {"Last-Event-ID": event_id}
    assert await visitor.fetch(servers.allowing, "/public/", headers=headers) == UNREADABLE
    assert visitor.methods(servers.allowing) == ["OPTIONS"]
    answer = await visitor.fetch(servers.credentials, "/public/", headers=headers)
    assert answer["text"] == hello(last=event_id, session=False)
    assert visitor.methods(servers.credentials) == ["OPTIONS", "GET"]


async def test_the_query_parameter_last_event_id_needs_no_preflight(visitor, servers):
    await visitor.open_page(CROSS_SITE)
    url = visitor.url(servers.allowing, "/public/", API)
    answer = await visitor.page.evaluate(FETCH, [f"{url}&last_event_id=7", {}])
    assert answer["text"] == hello(last="7", session=False)
    assert visitor.methods(servers.allowing, "&last_event_id=7") == ["GET"]


# fetch()


@pytest.mark.parametrize("site", SITES)
async def test_fetch_with_a_token_works_with_the_default_headers(visitor, servers, site):
    headers = {"Authorization": f"Token {await visitor.log_in(servers.allowing)}"}
    await visitor.open_page(site)
    answer = await visitor.fetch(servers.allowing, "/private/", headers=headers)
    assert answer["text"] == hello(user="alice")
    assert visitor.methods(servers.allowing) == ["OPTIONS", "GET"]
    answer = await visitor.fetch(servers.allowing, "/private/", method="POST", headers=headers | JSON_TYPE, body="[1]")
    assert answer["text"] == hello(user="alice", data=[1])


async def test_fetch_sends_the_session_only_with_credentials_include(visitor, servers):
    await visitor.log_in(servers.credentials)
    await visitor.open_page(SAME_SITE)
    answer = await visitor.fetch(servers.credentials, "/private/", credentials="include")
    assert answer["text"] == hello(user="alice")
    answer = await visitor.fetch(servers.credentials, "/private/")
    assert answer["text"] == NOT_AUTHENTICATED


async def test_a_post_with_a_session_needs_the_csrf_token(visitor, servers):
    await visitor.log_in(servers.credentials)
    await visitor.open_page(SAME_SITE)
    token = (await visitor.page.evaluate("document.cookie")).removeprefix("csrftoken=")
    post = {"method": "POST", "credentials": "include", "body": "[1]"}
    answer = await visitor.fetch(servers.credentials, "/private/", **post, headers=JSON_TYPE)
    assert (answer["status"], answer["text"]) == (403, '{"detail":"CSRF Failed: CSRF token missing."}')
    answer = await visitor.fetch(servers.credentials, "/private/", **post, headers=JSON_TYPE | {"X-CSRFToken": token})
    assert answer["text"] == hello(user="alice", data=[1])


@pytest.mark.parametrize("site", SITES)
async def test_fetch_reads_the_status_and_the_body_of_a_refusal(visitor, servers, site):
    await visitor.open_page(site)
    answer = await visitor.fetch(servers.allowing, "/private/")
    assert (answer["status"], answer["text"]) == (403, NOT_AUTHENTICATED)


async def test_a_page_reads_retry_after_with_cors_expose_headers(visitor, servers):
    await visitor.open_page(SAME_SITE)
    hidden = await visitor.fetch(servers.allowing, "/busy/")
    assert (hidden["status"], hidden["headers"].get("retry-after")) == (429, None)
    shown = await visitor.fetch(servers.credentials, "/busy/")
    assert (shown["status"], shown["headers"].get("retry-after")) == (429, "7")


# Caches


async def test_a_stream_varies_by_origin_and_is_requested_again_for_each(visitor, servers):
    url = visitor.url(servers.allowing, "/finite/", API)
    for site in SITES:
        await visitor.open_page(site)
        async with visitor.page.expect_response(url) as received:
            assert (await visitor.page.evaluate(FETCH, [url, {}]))["status"] == 200
        headers = await (await received.value).all_headers()
        assert headers["access-control-allow-origin"] == f"http://{site}:{servers.port}"
        assert (headers["vary"], headers["cache-control"]) == ("origin", "no-cache, no-transform")
