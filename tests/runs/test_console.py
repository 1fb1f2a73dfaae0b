"""The console of a ``RunView``, without a browser."""

import re

import pytest
from django.urls import path
from rest_framework.renderers import JSONRenderer

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import RunView

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Chat(RunView):
    renderer_classes = [EventStreamRenderer, JSONRenderer, EventStreamConsoleRenderer]

    async def run(self, request, **kwargs):
        for word in request.data["prompt"].split():
            yield "token", word


@pytest.fixture
def client(settings):
    settings.STATIC_URL = "/static/"
    routes = [path("chat/", Chat.as_view()), path("chat/<str:run_id>/", Chat.as_view())]
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": routes})
    return EventStreamClient()


async def page_at(client, url):
    async with client.get(url, headers=HTML) as response:
        return response, (await response.body()).decode()


async def test_the_page_of_a_run_shows_its_stream_and_can_stop_it(client):
    async with client.post("/chat/", {"prompt": "a b"}, format="json") as stream:
        url = stream.headers["Location"]
        await stream.take(3)
    response, page = await page_at(client, url)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f'data-url="{url}"' in page
    assert 'data-method="DELETE"' in page
    assert "<form" in page
    assert "POST" not in response.headers["Allow"]
    assert 'data-method="POST"' not in page


async def test_the_form_starts_a_run(client):
    response, page = await page_at(client, "/chat/")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert 'name="_content_type"' in page
    assert 'data-method="DELETE"' not in page
    # As the panel does, and as a browser does without scripts.
    async with client.post("/chat/", {"prompt": "a b"}) as stream:
        assert [event.data for event in await stream.take(2)] == ["a", "b"]
    async with client.post("/chat/", {"prompt": "a b"}, headers=HTML) as response:
        page = (await response.body()).decode()
    assert (response.status_code, response.headers["Content-Type"]) == (202, "text/html; charset=utf-8")
    assert response.headers["Location"] in page
    [run_id] = re.findall(r"&quot;id&quot;: &quot;(\w+)&quot;", page)
    assert response.headers["Location"] == f"/chat/{run_id}/"
