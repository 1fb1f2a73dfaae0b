"""MCP's clients call a tool, whose answer is a stream."""

from asyncio import Event, create_task, gather, to_thread

import pytest

from tests.protocols.conftest import Package
from tests.protocols.prompts import FAILING, WHOLE

mcp = Package("mcp")


@pytest.fixture(params=["2026-07-28", "legacy"])
def connect(request, url):
    """Connect with the newest version of the protocol, which has no handshake, and with the older ones."""
    return lambda: mcp.Client(f"{url}/mcp", mode="auto" if request.param == "2026-07-28" else "legacy")


async def spell(client, text, on_progress=None):
    async def report(progress, total, message):
        if on_progress:
            on_progress(message)

    return await client.call_tool("spell", {"text": text}, progress_callback=report)


async def test_a_whole_tool_call(connect):
    words = []
    async with connect() as client:
        tools = await client.list_tools()
        result = await spell(client, WHOLE, words.append)
    assert [tool.name for tool in tools.tools] == ["spell"]
    assert (words, result.content[0].text) == (["one ", "pause ", "two "], "one pause two ")


async def test_a_tool_call_without_reports_of_progress(connect):
    async with connect() as client:
        result = await client.call_tool("spell", {"text": WHOLE})
    assert result.content[0].text == "one pause two "


async def test_a_failed_tool_call_is_a_json_rpc_error(connect):
    words = []
    async with connect() as client:
        with pytest.raises(mcp.MCPError, match="The tool has failed") as raised:
            await spell(client, FAILING, words.append)
    assert (words, raised.value.code) == (["one "], -32603)


async def test_a_cancelled_tool_call_stops_the_tool(url, endless_prompt, wait_until_stopped):
    begun = Event()
    async with mcp.Client(f"{url}/mcp") as client:
        call = create_task(spell(client, endless_prompt, lambda word: begun.set()))
        await begun.wait()
        call.cancel()
        await to_thread(wait_until_stopped, endless_prompt)


async def test_a_client_that_leaves_stops_the_tool(connect, endless_prompt, wait_until_stopped):
    begun = Event()
    async with connect() as client:
        call = create_task(spell(client, endless_prompt, lambda word: begun.set()))
        await begun.wait()
    wait_until_stopped(endless_prompt)
    assert isinstance((await gather(call, return_exceptions=True))[0], mcp.MCPError)


def test_a_whole_tool_call_in_node(in_node):
    assert in_node("mcp")["whole"] == {"seen": ["one ", "pause ", "two "], "result": "one pause two "}


def test_a_failed_tool_call_in_node(in_node):
    seen = in_node("mcp")["failing"]
    assert (seen["seen"], seen["code"]) == (["one "], -32603)
    assert "The tool has failed." in seen["message"]


def test_a_client_in_node_that_leaves_stops_the_tool(in_node, wait_until_stopped):
    wait_until_stopped(in_node("mcp")["closed"])
