"""Tests of the how-to pages in Chromium: their templates and their JavaScript do what the pages promise."""

import asyncio
from importlib.util import find_spec
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.docs.examples import code_blocks
from tests.docs.how_to import blocks_of, environment, serve_pages, set_orders
from tests.support.browsers import chromium, watched_page
from tests.support.example import serve_example
from tests.support.programs import missing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.server,
    pytest.mark.timeout(300),  # the first test of a worker starts two servers and Chromium
    pytest.mark.asyncio(loop_scope="module"),
]
PAGES = ["authentication", "language-models", "merging-sources", "task-progress", "uploads"]
NOTE = "window.notes = []; window.note = (...values) => notes.push(values);"
"""A function for the examples that leave the display to the reader. It notes its arguments in ``notes``."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("how-to")


@pytest.fixture(scope="module")
def client(folder):
    if find_spec("openai") is None:
        missing("openai is not installed: pip install -e '.[protocols]'")
    with serve_example(folder / "example.sqlite3") as model:
        variables = {"OPENAI_BASE_URL": f"{model.url}/protocols/openai", "OPENAI_API_KEY": "none"}
        with (
            serve_pages(environment(folder, *PAGES, **variables)) as server,
            httpx.Client(base_url=server.url, timeout=30) as client,
        ):
            yield client


@pytest.fixture
def user(client):
    """A user and their token. The client of the test has no session."""
    user = client.get("/test-login/").json()
    client.cookies.clear()
    return user


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, client):
    async with watched_page(browser, base_url=str(client.base_url)) as watched:
        await watched.page.add_init_script(NOTE)
        yield watched.page
        # Chromium reports every response with an error, and the tests cause some.
        watched.errors[:] = [error for error in watched.errors if not error.startswith("Failed to load resource")]


async def run_script(page, name, path="/test-page/"):
    """Run the JavaScript of a how-to page in an empty page, or in that of a path."""
    await page.goto(path)
    await page.add_script_tag(content=script(name))


def script(name):
    """Return the only example in JavaScript of a how-to page."""
    (block,) = blocks_of(name, "js")
    return block.code


async def noted(page, *notes):
    await page.wait_for_function("count => notes.length >= count", arg=len(notes))
    assert await page.evaluate("notes") == list(notes)


# Authentication


async def test_a_page_with_a_session_shows_notifications_and_without_one_it_is_refused(page, client, user):
    await page.goto("/")
    await expect(page.locator("#state")).to_have_text("refused")
    await page.goto("/test-login/")
    await page.goto("/")
    await expect(page.locator("#state")).to_have_text("connected")
    client.post(f"/test-publish/notifications.{user['user']}/notification/", json={"text": "Hello"})
    await expect(page.locator("#list")).to_have_text("Hello")


async def test_a_page_with_a_token_shows_notifications_or_asks_the_user_to_log_in(page, client, user):
    await page.add_init_script("window.show = window.logIn = note")
    await page.goto("/test-page/")
    await page.evaluate("token => { sessionStorage.token = token }", user["token"])
    async with page.expect_response("**/notifications/"):
        await page.goto("/test-part/authentication-1.html")
    client.post(f"/test-publish/notifications.{user['user']}/notification/", json={"text": "Hello"})
    await noted(page, ["Hello"])
    await page.evaluate("sessionStorage.token = 'wrong'")
    await page.goto("/test-part/authentication-1.html")
    await noted(page, ["Invalid token."])


async def test_an_event_source_connects_with_a_ticket(page, user):
    await run_script(page, "authentication")
    connect = "token => connect(token).then(source => source.addEventListener('ready', () => note('ready')))"
    await page.evaluate(connect, user["token"])
    await noted(page, ["ready"])


SOURCES = """
const setTimeoutOfBrowser = window.setTimeout;
window.setTimeout = (call) => setTimeoutOfBrowser(call, 10);
window.sources = [];
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    sources.push(this);
    this.addEventListener("ready", () => note("ready"));
  }
};
"""
"""Keeps each ``EventSource`` of a page, notes when it is ready, and lets no timer wait."""


async def test_an_event_source_with_tickets_survives_outages_and_misses_nothing(page, client, user):
    await page.add_init_script(SOURCES + "window.show = ({ text }) => note(text); window.logIn = () => note('log in');")
    await page.goto("/test-page/")
    await page.evaluate("token => { window.token = token }", user["token"])
    code = [
        block.code for block in code_blocks("cross-origin.md") if "/tickets/" in block.code and block.language == "js"
    ]
    (script,) = (
        text.replace("/orders/events/", "/ticket-notifications/").replace("order", "notification") for text in code
    )
    attempts = asyncio.Queue()

    async def fail(route):
        await (route.fulfill(status=502, body="<html>") if attempts.qsize() else route.abort())
        attempts.put_nowait(route)

    await page.route("**/tickets/", fail)
    await page.add_script_tag(content=f"{script}; connect();")
    while attempts.qsize() < 3:
        await asyncio.sleep(0.01)
    await page.unroute_all()
    await noted(page, ["ready"])
    await page.evaluate("sources[0].close()")
    client.post(f"/test-publish/notifications.{user['user']}/notification/", json={"text": "Hello"})
    await page.evaluate("sources[0].dispatchEvent(new Event('error'))")
    await noted(page, ["ready"], ["Hello"], ["ready"])
    await page.evaluate("token = 'wrong'; sources[1].dispatchEvent(new Event('error'))")
    await noted(page, ["ready"], ["Hello"], ["ready"], ["log in"])


# Language models


async def test_a_chat_shows_each_answer_and_each_error(page):
    await page.goto("/chat/")
    for prompt, answer, problem in (
        ("Hello world", "Hello world ", ""),
        ("one fail", "one ", "A server error occurred."),
    ):
        await ask(page, prompt)
        await expect(page.locator("#answer")).to_have_text(answer)
        await expect(page.locator("#problem")).to_have_text(problem)


async def test_a_stopped_chat_receives_no_more(page):
    await page.goto("/chat/")
    await ask(page, "one forever")
    await expect(page.locator("#answer")).to_have_text("one ")
    async with page.expect_event("requestfailed"):
        await page.click("#stop")
    await expect(page.locator("#problem")).to_have_text("")


async def test_a_chat_says_that_an_answer_was_cut_off(page):
    body = 'event: token\ndata: {"text":"half"}\n\n'
    await page.route("**/answers/", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    await page.goto("/chat/")
    await ask(page, "one")
    await expect(page.locator("#answer")).to_have_text("half")
    await expect(page.locator("#problem")).to_have_text("The answer was cut off.")


@pytest_asyncio.fixture(loop_scope="module")
async def chat(page):
    """The page of a lasting answer, whose user is new."""
    await page.goto(f"/test-login/?username={uuid4()}")
    await page.goto("/lasting-chat/")
    await expect(page.locator("#state")).to_have_text("There is no answer.")
    return page


async def ask(page, prompt):
    await page.fill("[name=prompt]", prompt)
    await page.click("text=Ask")


async def shows(page, answer, state, problem=""):
    await expect(page.locator("#answer")).to_have_text(answer)
    await expect(page.locator("#state")).to_have_text(state)
    await expect(page.locator("#problem")).to_have_text(problem)


async def test_a_lasting_answer_is_complete_and_there_after_a_reload(chat):
    await ask(chat, "Hello world")
    await shows(chat, "Hello world ", "completed")
    await chat.reload()
    await shows(chat, "Hello world ", "completed")


async def test_all_tabs_show_a_lasting_answer_and_a_button_stops_it_in_all(chat):
    other = await chat.context.new_page()
    await other.goto("/lasting-chat/")
    await shows(other, "", "There is no answer.")
    await ask(chat, "one forever")
    for tab in chat, other:
        await shows(tab, "one ", "Writing …")
    await other.reload()
    await shows(other, "one ", "Writing …")
    await other.click("#stop")
    for tab in chat, other:
        await shows(tab, "one ", "stopped")
    await other.close()


async def test_a_second_question_leaves_a_lasting_answer_as_it_is(chat):
    await ask(chat, "one forever")
    await shows(chat, "one ", "Writing …")
    async with chat.expect_response(lambda response: response.status == 409):
        await ask(chat, "two")
    await shows(chat, "one ", "Writing …", "This run is already active.")
    await chat.click("#stop")
    await shows(chat, "one ", "stopped")
    await ask(chat, "two")
    await shows(chat, "two ", "completed")


@pytest.mark.parametrize(
    ("prompt", "answer", "state", "problem"),
    [
        ("fail", "", "", "The model is not available. Try again later."),
        ("one fail", "one ", "failed", "The model is not available. Try again later."),
        (" ", "", "", "This field may not be blank."),
    ],
)
async def test_a_lasting_chat_shows_each_error(chat, prompt, answer, state, problem):
    await ask(chat, prompt)
    await shows(chat, answer, state, problem)


async def test_a_refused_question_leaves_the_last_answer(chat):
    await ask(chat, "Hello")
    await shows(chat, "Hello ", "completed")
    await ask(chat, " ")
    await shows(chat, "", "", "This field may not be blank.")
    await chat.reload()
    await shows(chat, "Hello ", "completed")


async def test_a_button_that_stops_nothing_says_so(chat):
    await chat.click("#stop")
    await shows(chat, "", "There is no answer.", "The answer could not be stopped.")


async def test_a_lasting_chat_says_that_it_reconnects(chat):
    await chat.route("**/lasting-answers/answer-*/", lambda route: route.fulfill(status=502))
    await chat.reload()
    await shows(chat, "", "Reconnecting …")
    await chat.unroute_all()


# Merging sources


async def test_an_event_source_receives_the_events_of_all_sources(page):
    await page.add_init_script("window.showNews = window.showWeather = note")
    await run_script(page, "merging-sources")
    await page.wait_for_function("notes.length === 5 && source.readyState === EventSource.CLOSED")


# Progress of a task


async def test_a_progress_bar_shows_the_work(page, folder):
    set_orders(folder, "Jug", "Cup")
    await page.goto("/closing/")
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("completed")
    assert await page.evaluate("[bar.value, bar.max]") == [2, 2]


@pytest.mark.slow
async def test_a_page_says_that_its_work_was_interrupted_if_the_server_stops(page, tmp_path):
    with serve_pages(environment(tmp_path, "task-progress")) as server:
        set_orders(tmp_path, *map(str, range(20_000)))  # takes longer than the test
        await page.goto(f"{server.url}/closing/")
        await page.click("#start")
        await page.wait_for_function("bar.value > 0 && bar.max === 20000")
        server.terminate()
    await expect(page.locator("#state")).to_have_text("The work was interrupted. Start it again for the rest.")
    await expect(page.locator("#start")).to_be_enabled()


async def test_a_page_follows_the_run_of_the_work(page, folder):
    set_orders(folder, "Jug", "Cup")
    await run_script(page, "task-progress")
    await page.evaluate("startClosing('').then(url => follow(url, note, note))")
    await noted(page, [{"done": 1, "total": 2}], [{"done": 2, "total": 2}], ["completed"])


async def test_a_page_learns_that_its_run_is_forgotten(page):
    await run_script(page, "task-progress")
    await page.evaluate("follow('/closings/unknown/', note, note)")
    await noted(page, ["lost"])


async def test_a_page_sees_the_progress_of_a_task_that_others_have_started(page, client):
    client.post("/test-publish/import.7/progress/", json={"done": 1, "total": 2})
    await run_script(page, "task-progress")
    await page.evaluate("follow('/imports/7/?last_event_id=0', note, note)")
    await noted(page, [{"done": 1, "total": 2}])
    client.post("/test-publish/import.7/end/", json={"status": "completed"})
    await noted(page, [{"done": 1, "total": 2}], ["completed"])


# Uploads

FILE = {"name": "orders.csv", "mimeType": "text/csv", "buffer": b"item,status\nJug,new\n,paid\n"}


async def test_a_form_shows_the_rows_of_its_file(page):
    await page.goto("/upload/")
    await page.set_input_files("[name=file]", FILE)
    await page.click("text=Import")
    wrong = 'Row 2: {"item":["This field may not be blank."]}'
    await expect(page.locator("#log li")).to_have_text([wrong, "Done."])
    assert await page.evaluate("[bar.value, bar.max]") == [2, 2]


async def test_an_upload_reports_its_own_progress_and_then_that_of_its_run(page):
    await run_script(page, "uploads", path="/upload/")
    await page.set_input_files("[name=file]", FILE)
    await page.evaluate("upload(form.file.files[0], '', share => { window.share = share }, note)")
    errors = {"number": 2, "of": 2, "errors": {"item": ["This field may not be blank."]}}
    await noted(page, ["row", {"number": 1, "of": 2}], ["wrong", errors], ["end", {"status": "completed"}])
    assert await page.evaluate("share") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda route: route.fulfill(status=413, body="<html>Too large</html>"), "413"),
        (lambda route: route.abort(), "no connection"),
    ],
)
async def test_an_upload_that_fails_before_the_server_is_reported(page, answer, words):
    await run_script(page, "uploads", path="/upload/")
    await page.set_input_files("[name=file]", FILE)
    await page.route("**/imports/", answer)
    await page.evaluate("upload(form.file.files[0], '', () => {}, note)")
    await noted(page, ["refused", {"detail": f"The upload has failed ({words})."}])
    await page.unroute_all()
