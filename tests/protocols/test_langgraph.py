"""LangGraph's client streams a run."""

from contextlib import aclosing

import pytest

from tests.protocols.conftest import Package
from tests.protocols.prompts import FAILING, WHOLE

langgraph_sdk = Package("langgraph_sdk")


@pytest.fixture
async def client(url):
    async with langgraph_sdk.get_client(url=f"{url}/langgraph", api_key=None) as client:
        yield client


def run(client, text):
    return aclosing(client.runs.stream(None, "words", input={"text": text}))


async def test_a_whole_run(client):
    async with run(client, WHOLE) as parts:
        seen = [(part.event, part.data) async for part in parts]
    assert seen[0][0] == "metadata"
    assert seen[1:-1] == [("values", {"text": text}) for text in ("one ", "one pause ", "one pause two ")]
    assert seen[-1] == ("end", None)


async def test_a_failed_run_ends_with_an_error_part(client):
    async with run(client, FAILING) as parts:
        seen = [part async for part in parts]
    assert [part.event for part in seen] == ["metadata", "values", "error"]
    assert seen[-1].data == {"error": "ModelError", "message": "The model has failed."}


async def test_an_aborted_run_stops_the_model(client, endless_prompt, wait_until_stopped):
    async with run(client, endless_prompt) as parts:
        async for part in parts:
            if part.event == "values":
                break
    wait_until_stopped(endless_prompt)
