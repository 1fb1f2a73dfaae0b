"""Further statements of ``docs/runs.md``."""

import asyncio

import pytest
from django.urls import path

from adrf_sse.testing import EventStreamClient
from adrf_sse.views import RunView

pytestmark = pytest.mark.usefixtures("broker")


class Words(RunView):
    async def run(self, request):
        for word in request.data["prompt"].split():
            yield word


def client_of(settings, **attributes):
    view = type("View", (Words,), attributes).as_view()
    routes = [path("runs/", view), path("runs/<str:run_id>/", view)]
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": routes})
    return EventStreamClient()


@pytest.mark.parametrize(("stream", "code"), [(True, 200), (False, 202)])
async def test_wants_stream_decides_between_the_stream_and_the_state(settings, stream, code):
    client = client_of(settings, wants_stream=lambda self, request: request.data.get("stream"))
    body = {"prompt": "a b", "stream": stream}
    async with client.post("/runs/", body, format="json", headers={"Accept": "application/json"}) as response:
        assert response.status_code == code
        assert ("id" in await response.json()) if code == 202 else (await response.next()).data == "a"


async def test_a_repeated_key_with_a_last_event_id_continues_where_the_client_was(settings):
    client = client_of(settings)
    headers = {"Idempotency-Key": "k"}
    async with client.post("/runs/", {"prompt": "a b"}, format="json", headers=headers) as stream:
        first = await stream.next()
    headers["Last-Event-ID"] = first.id
    async with client.post("/runs/", {"prompt": "a b"}, format="json", headers=headers) as stream:
        assert [event.data async for event in stream] == ["b", '{"status":"completed"}']


async def test_an_upload_can_be_read_before_the_first_event(settings, tmp_path):
    class Upload(RunView):
        async def run(self, request):
            text = await asyncio.to_thread(request.data["file"].read)
            yield "read"
            await self.go_on.wait()
            yield text.decode()

    go_on = asyncio.Event()
    client = client_of(settings, run=Upload.run, go_on=go_on)
    (tmp_path / "a.txt").write_text("content")
    with (tmp_path / "a.txt").open("rb") as file:
        async with client.post("/runs/", {"file": file}, format="multipart") as stream:
            url = stream.headers["Location"]
            assert (await stream.next()).data == "read"
    go_on.set()
    async with client.get(url) as stream:
        assert [event.data async for event in stream][1] == "content"


async def test_format_error_is_called_for_the_ends_that_other_processes_may_report(settings):
    seen = []

    def format_error(self, exc):
        seen.append(type(exc).__name__)
        return {"error": "failed"}

    client = client_of(settings, format_error=format_error)
    async with client.post("/runs/", {"prompt": "a"}, format="json") as stream:
        await stream.take(2)
    assert sorted(seen) == ["Exception", "RunLost"]
