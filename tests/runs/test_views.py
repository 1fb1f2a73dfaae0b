"""The requests of a ``RunView``: start, follow, stop, and the state as JSON."""

import asyncio

import pytest
from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission

from adrf_sse.runs import produce, run_state
from adrf_sse.testing import StreamEnded
from adrf_sse.views import RunView

pytestmark = pytest.mark.usefixtures("broker")

JSON = {"Accept": "application/json"}
KEY = "Idempotency-Key"


class NamedUser(BaseAuthentication):
    """Authenticate as the user whose primary key a header has."""

    def authenticate(self, request):
        pk = request.headers.get("X-User")
        return (User(pk=int(pk)), None) if pk else None


class Chat(RunView):
    """Yield the words of the prompt, and wait for ``go_on`` before each of them but the first."""

    authentication_classes = [NamedUser]

    async def run(self, request, *args, **kwargs):
        self.started.append(request.data["prompt"])
        try:
            for number, word in enumerate(request.data["prompt"].split()):
                if number:
                    await self.go_on.wait()
                yield "token", {"text": word}
        finally:
            self.closed.set()


@pytest.fixture
def chat(chat_client):
    """A function that returns a client of a view at ``/chat/``."""
    return lambda view_class=Chat, **attributes: chat_client(view_class, **attributes)


def start(client, prompt="a b", **options):
    return client.post("/chat/", {"prompt": prompt}, format="json", **options)


async def texts(stream):
    return [event.data async for event in stream]


async def state_at(client, url, **headers):
    async with client.get(url, headers=JSON | headers) as response:
        return await response.json()


TOKENS = ['{"text":"a"}', '{"text":"b"}']
COMPLETED = [*TOKENS, '{"status":"completed"}']


async def test_post_starts_a_run_and_streams_it(chat):
    client = chat()
    client.view.go_on.set()
    async with start(client) as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        location = stream.headers["Location"]
        events = [event async for event in stream]
    assert [event.event for event in events] == ["token", "token", "end"]
    assert [event.data for event in events] == COMPLETED
    assert location.startswith("/chat/")
    assert (await state_at(client, location))["status"] == "completed"


async def test_reloading_in_the_middle_goes_on_and_starts_no_second_run(chat):
    client = chat()
    async with start(client) as stream:
        location, first = stream.headers["Location"], await stream.next()
    async with client.get(location) as whole, client.get(location, headers={"Last-Event-ID": first.id}) as rest:
        client.view.go_on.set()
        assert await texts(whole) == COMPLETED
        assert await texts(rest) == COMPLETED[1:]
    assert client.view.started == ["a b"]


async def test_json_gets_the_state_and_does_not_follow(chat):
    client = chat()
    async with start(client, headers=JSON) as response:
        assert response.status_code == 202
        state = await response.json()
        assert response.headers["Location"] == f"/chat/{state['id']}/"
    assert (state["status"], state["ended"]) == ("running", None)
    assert state["started"].endswith("Z")
    client.view.go_on.set()
    async with client.get(response.headers["Location"]) as stream:
        await texts(stream)
    state = await state_at(client, response.headers["Location"])
    assert (state["status"], state["events"]) == ("completed", 2)


@pytest.mark.parametrize("headers", [{}, JSON])
async def test_an_error_before_the_first_event_is_an_http_error_and_leaves_no_run(chat, headers):
    class Refusing(Chat):
        async def run(self, request):
            raise NotFound("no such model")
            yield

        def get_run_id(self, request):
            return "mine"

    client = chat(Refusing)
    async with start(client, headers=headers) as response:
        assert (response.status_code, await response.json()) == (404, {"detail": "no such model"})
    async with client.get("/chat/mine/") as response:
        assert response.status_code == 404


async def test_a_bad_body_starts_no_run(chat, settings):
    client = chat()
    async with client.post("/chat/", "{", content_type="application/json") as response:
        assert response.status_code == 400
    assert client.view.started == []


async def test_the_end_of_a_client_that_has_everything_is_a_204(chat):
    client = chat()
    client.view.go_on.set()
    async with start(client) as stream:
        location, events = stream.headers["Location"], [event async for event in stream]
    async with client.get(location, headers={"Last-Event-ID": events[-1].id}) as response:
        assert (response.status_code, await response.body()) == (204, b"")


async def test_delete_stops_the_source_and_ends_the_followers(chat):
    client = chat()
    async with start(client) as stream, client.get(stream.headers["Location"]) as other:
        await stream.next()
        for _ in range(2):
            async with client.delete(stream.headers["Location"]) as response:
                assert response.status_code == 204
        assert await texts(stream) == ['{"status":"stopped"}']
        assert await texts(other) == [TOKENS[0], '{"status":"stopped"}']
    await asyncio.wait_for(client.view.closed.wait(), 30)


async def test_who_knows_the_id_of_anothers_run_can_neither_read_nor_stop_it(chat):
    client = chat()
    async with start(client, headers={"X-User": "1"}) as stream:
        location = stream.headers["Location"]
        await stream.next()
        for headers in ({"X-User": "2"}, {}, {"X-User": "2", **JSON}):
            for request in (client.get, client.delete):
                async with request(location, headers=headers) as response:
                    assert response.status_code == 404
        assert (await state_at(client, location, **{"X-User": "1"}))["status"] == "running"
        client.view.go_on.set()
        assert await texts(stream) == COMPLETED[1:]


async def test_the_run_of_an_anonymous_client_is_open_to_those_who_know_its_id(chat):
    client = chat()
    client.view.go_on.set()
    async with start(client) as stream:
        location = stream.headers["Location"]
    async with client.get(location, headers={"X-User": "2"}) as stream:
        assert await texts(stream) == COMPLETED
    assert len(location) >= len("/chat//") + 32


async def test_object_permissions_are_checked_for_the_run(chat):
    seen = []

    class OnlyReading(BasePermission):
        def has_object_permission(self, request, view, run):
            seen.append((run.id, run.status, run.owner))
            return request.method == "GET"

    client = chat(permission_classes=[OnlyReading])
    async with start(client, headers={"X-User": "1"}) as stream:
        location = stream.headers["Location"]
    async with client.delete(location, headers={"X-User": "1"}) as response:
        assert response.status_code == 403
    async with client.get(location, headers={"X-User": "1"}) as stream:
        assert stream.status_code == 200
    assert set(seen) == {(location.split("/")[2], "running", "1")}


class OwnID(Chat):
    async def get_run_id(self, request):
        return request.data.get("id")


async def post_with_id(client, id, **headers):
    data = {"prompt": "a b", "id": id}
    async with client.post("/chat/", data, format="json", headers=headers) as response:
        return response.status_code, response.headers.get("Location")


async def test_a_second_start_of_an_active_run_is_a_conflict_with_its_location(chat):
    client = chat(OwnID)
    assert await post_with_id(client, "c1") == (200, "/chat/c1/")
    assert await post_with_id(client, "c1") == (409, "/chat/c1/")
    assert await post_with_id(client, "c1", **JSON) == (409, "/chat/c1/")
    client.view.go_on.set()
    async with client.get("/chat/c1/") as stream:
        assert await texts(stream) == COMPLETED
    assert await post_with_id(client, "c1") == (200, "/chat/c1/")
    assert len(client.view.started) == 2


async def test_a_start_with_the_id_of_anothers_run_is_not_found(chat):
    client = chat(OwnID)
    client.view.go_on.set()
    assert await post_with_id(client, "c1", **{"X-User": "1"}) == (200, "/chat/c1/")
    assert await post_with_id(client, "c1", **{"X-User": "2"}) == (404, None)
    async with client.get("/chat/c1/", headers={"X-User": "1"}) as stream:
        assert await texts(stream) == COMPLETED
    assert await post_with_id(client, "c1", **{"X-User": "2"}) == (404, None)


async def test_an_id_of_the_project_that_is_not_valid_is_its_error(chat, caplog):
    assert await post_with_id(chat(OwnID), "a b") == (500, None)
    assert "the ID of a run must be 1 to 150" in caplog.text


@pytest.mark.parametrize("run_id", ["unknown", "a%20b", "a%0Ab", "x" * 500, "%F0%9F%92%A3"])
async def test_an_id_that_no_run_has_is_not_found(chat, run_id):
    client = chat()
    for request in (client.get, client.delete):
        async with request(f"/chat/{run_id}/") as response:
            assert response.status_code == 404


async def test_a_repeated_key_follows_the_first_run(chat):
    client = chat()
    first = {KEY: "k1", "X-User": "1"}
    async with start(client, headers=first) as stream, start(client, headers=first) as again:
        assert again.headers["Location"] == stream.headers["Location"]
        client.view.go_on.set()
        assert await texts(stream) == await texts(again) == COMPLETED
    async with start(client, headers=first) as stream:
        assert await texts(stream) == COMPLETED
    assert len(client.view.started) == 1


@pytest.mark.parametrize("headers", [{KEY: "k1", "X-User": "2"}, {KEY: "k1"}, {KEY: "k2", "X-User": "1"}])
async def test_a_key_belongs_to_its_user(chat, headers):
    client = chat()
    client.view.go_on.set()
    async with start(client, headers={KEY: "k1", "X-User": "1"}) as one, start(client, headers=headers) as other:
        assert one.headers["Location"] != other.headers["Location"]


@pytest.mark.parametrize("key", ["x" * 256, "ä", "a\tb"])
async def test_a_bad_key_is_refused(chat, key):
    client = chat()
    async with start(client, headers={KEY: key}) as response:
        assert response.status_code == 400
    assert client.view.started == []


async def test_a_process_with_too_many_runs_refuses_another_one(chat, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_RUNS": 1}
    client = chat()
    async with start(client), start(client, headers={KEY: "k"}) as response:
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.view.started == ["a b"]


async def test_methods_belong_to_their_routes(chat):
    client = chat()
    for request, url in ((client.get, "/chat/"), (client.delete, "/chat/"), (client.post, "/chat/x/")):
        async with request(url) as response:
            assert response.status_code == 405


async def test_another_process_can_produce_a_run(chat):
    handed_over = asyncio.Queue()

    class Elsewhere(Chat):
        def start(self, request, run_id):
            handed_over.put_nowait(run_id)

    client = chat(Elsewhere, first_event_timeout=0)

    async def source():
        yield "token", {"text": "a"}
        yield "token", {"text": "b"}

    async with start(client) as stream:
        run_id = await handed_over.get()
        assert (await run_state(run_id))["status"] == "queued"
        assert await produce(run_id, source()) == "completed"
        assert await texts(stream) == COMPLETED


async def test_a_run_that_can_not_be_handed_over_does_not_exist(chat):
    class Failing(OwnID):
        def start(self, request, run_id):
            raise OSError("no queue")

    client = chat(Failing)
    assert await post_with_id(client, "c1") == (500, None)
    async with client.get("/chat/c1/") as response:
        assert response.status_code == 404


async def test_a_run_that_nobody_begins_is_lost(chat, settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_START_TIMEOUT": 0.2}

    class Forgotten(Chat):
        async def start(self, request, run_id):
            pass

    client = chat(Forgotten, first_event_timeout=0)
    async with start(client) as stream:
        error, end = await stream.take(2)
        with pytest.raises(StreamEnded):
            await stream.next()
    assert (error.event, end.data) == ("error", '{"status":"lost"}')
    assert "run_lost" in error.data
    assert (await state_at(client, stream.headers["Location"]))["status"] == "lost"


async def test_head_starts_and_follows_nothing(chat):
    client = chat()
    client.view.go_on.set()
    async with start(client) as stream:
        location = stream.headers["Location"]
    async with client.head(location) as response:
        assert (response.status_code, await response.body()) == (200, b"")
