"""Tests of the how-to page about language models, with a server in place of the model."""

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
import pytest_asyncio
from django.contrib.auth.models import User

from tests.docs.mysite import load, url_patterns
from tests.support.scripted_server import ScriptedServer, scripted_server

pytestmark = pytest.mark.server
COMPLETIONS = "/chat/completions"
PROMPT = {"data": {"prompt": "Hello?"}, "format": "json"}


def chunk(text: str) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n"


@pytest_asyncio.fixture
async def model(monkeypatch, settings) -> AsyncIterator[ScriptedServer]:
    """A server that the view takes for the model. The test sends the answers."""
    if find_spec("openai") is None:
        pytest.skip("openai is not installed: pip install -e '.[protocols]'")
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": url_patterns(load("how-to/language-models.md"))})
    async with scripted_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server


async def answer(model, *words):
    """Begin an answer with some words."""
    exchange = await model.request(COMPLETIONS)
    await exchange.stream("".join(chunk(word) for word in words))
    return exchange


@pytest.fixture
def user_client(event_stream_client):
    """A client whose user is logged in."""
    event_stream_client.force_authenticate(user=User(pk=1))
    return event_stream_client


async def test_each_word_arrives_before_the_next_one_exists(model, event_stream_client):
    writing = asyncio.create_task(answer(model, "Hi"))
    async with event_stream_client.post("/answers/", **PROMPT) as stream:
        assert (await stream.next()).data == '{"text":"Hi"}'
        exchange = await writing
        assert json.loads(exchange.body)["messages"] == [{"role": "user", "content": "Hello?"}]
        await exchange.send(chunk("!") + "data: [DONE]\n\n")
        await exchange.end()
        assert [event.data async for event in stream] == ['{"text":"!"}', "{}"]


async def test_the_connection_to_the_model_is_closed_when_the_page_stops(model, event_stream_client):
    writing = asyncio.create_task(answer(model, "Hi"))
    async with event_stream_client.post("/answers/", **PROMPT) as stream:
        await stream.next()
    await asyncio.wait_for((await writing).disconnected.wait(), 30)


@pytest.mark.parametrize(("theirs", "ours"), [(429, 429), (500, 503), (400, 503)])
async def test_a_refusal_of_the_model_is_an_http_error(model, event_stream_client, theirs, ours):
    async def refuse():
        await (await model.request(COMPLETIONS)).respond(theirs, {"error": {"message": "a secret"}})

    refusing = asyncio.create_task(refuse())
    async with event_stream_client.post("/careful-answers/", **PROMPT) as stream:
        assert stream.status_code == ours
        assert stream.headers.get("Retry-After") == ("20" if ours == 429 else None)
        assert "secret" not in (await stream.body()).decode()
    await refusing


async def test_a_request_without_a_prompt_is_refused(model, event_stream_client):
    async with event_stream_client.post("/careful-answers/", {}, format="json") as stream:
        assert stream.status_code == 400


async def test_an_error_after_the_first_word_is_an_event(model, event_stream_client):
    writing = asyncio.create_task(answer(model, "Hi"))
    async with event_stream_client.post("/careful-answers/", **PROMPT) as stream:
        await stream.next()
        exchange = await writing
        await exchange.send('data: {"error": {"message": "a secret"}}\n\n')
        await exchange.end()
        (error,) = [event async for event in stream]
    assert json.loads(error.data)["code"] == "model_unavailable"


async def test_an_answer_of_a_run_goes_on_without_its_client(model, user_client):
    writing = asyncio.create_task(answer(model, "Hi"))
    async with user_client.post("/lasting-answers/", **PROMPT) as stream:
        await stream.next()
        url = stream.headers["Location"]
    exchange = await writing
    await exchange.send(chunk("!") + "data: [DONE]\n\n")
    await exchange.end()
    async with user_client.get(url) as stream:
        assert [event.data async for event in stream] == ['{"text":"Hi"}', '{"text":"!"}', '{"status":"completed"}']


async def test_delete_closes_the_connection_to_the_model(model, user_client):
    writing = asyncio.create_task(answer(model, "Hi"))
    async with user_client.post("/lasting-answers/", **PROMPT) as stream:
        await stream.next()
        async with user_client.delete(stream.headers["Location"]) as response:
            assert response.status_code == 204
    await asyncio.wait_for((await writing).disconnected.wait(), 30)
