"""A2A's client sends a streaming message."""

from contextlib import aclosing, asynccontextmanager

import pytest

from tests.protocols.conftest import Package
from tests.protocols.prompts import FAILING, WHOLE

client = Package("a2a.client")
errors = Package("a2a.utils.errors")
types = Package("a2a.types")


@asynccontextmanager
async def sent(url, text):
    message = types.Message(role="ROLE_USER", message_id="1", parts=[types.Part(text=text)])
    agent = await client.create_client(f"{url}/a2a")
    try:
        async with aclosing(agent.send_message(types.SendMessageRequest(message=message))) as events:
            yield events
    finally:
        await agent.close()


def described(event):
    if event.HasField("artifact_update"):
        return event.artifact_update.artifact.parts[0].text
    status = event.task.status if event.HasField("task") else event.status_update.status
    return types.TaskState.Name(status.state)


async def test_a_whole_task(url):
    async with sent(url, WHOLE) as events:
        seen = [described(event) async for event in events]
    assert seen == ["TASK_STATE_WORKING", "one ", "pause ", "two ", "TASK_STATE_COMPLETED"]


async def test_characters_at_which_the_client_cuts_lines_arrive(url):
    text = "one\u0085two\u2028three\u2029"
    async with sent(url, text) as events:
        seen = [described(event) async for event in events]
    assert seen[1] == f"{text} "


async def test_a_failed_task_is_a_json_rpc_error(url):
    async with sent(url, FAILING) as events:
        with pytest.raises(errors.InternalError, match="The model has failed"):
            [described(event) async for event in events]


async def test_an_aborted_task_stops_the_model(url, endless_prompt, wait_until_stopped):
    async with sent(url, endless_prompt) as events:
        async for event in events:
            if described(event) == "one ":
                break
    wait_until_stopped(endless_prompt)
