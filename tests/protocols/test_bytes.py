"""The bytes of each protocol's stream, while its model is silent and when it fails."""

import re
from pathlib import Path

import httpx
import pytest

from tests.protocols.prompts import FAILING, WHOLE
from tests.support.example import EXAMPLE

MESSAGE = [{"role": "user", "content": "TEXT"}]
PARTS = [{"text": "TEXT"}]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
BODIES = {
    "openai/chat/completions": {"model": "words", "stream": True, "messages": MESSAGE},
    "openai/responses": {"model": "words", "stream": True, "input": "TEXT"},
    "anthropic/v1/messages": {"model": "words", "stream": True, "messages": MESSAGE},
    "mcp": CALL | {"params": {"name": "spell", "arguments": {"text": "TEXT"}, "_meta": {"progressToken": 1}}},
    "chat": {"id": "1", "messages": [{"role": "user", "parts": PARTS}]},
    "resumable-chat": {"id": "2", "messages": [{"role": "user", "parts": PARTS}]},
    "graphql": {"query": "subscription …", "variables": {"text": "TEXT"}},
    "ag-ui": {"threadId": "1", "runId": "1", "messages": MESSAGE},
    "a2a": {"jsonrpc": "2.0", "id": 1, "params": {"message": {"parts": PARTS}}},
    "langgraph/runs/stream": {"input": {"text": "TEXT"}},
    "words": {"text": "TEXT"},
    "htmx": None,
    "turbo": None,
    "datastar": None,
}
"""The body of each path's request. A path without a body gets the text in the query of a GET request."""


def read(url: str, path: str, text: str) -> bytes:
    if BODIES[path] is None:
        return httpx.get(f"{url}/{path}", params={"text": text}).content
    body = httpx.Request("POST", url, json=BODIES[path]).content.replace(b"TEXT", text.encode())
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    return httpx.post(f"{url}/{path}", content=body, headers=headers).content


def frames(body: bytes) -> list[bytes]:
    *complete, rest = body.split(b"\n\n")
    assert re.fullmatch(rb"(:\n)*", rest), "Only heartbeats stand after the last frame"
    return complete


@pytest.mark.parametrize("path", BODIES)
def test_retry_and_heartbeats_are_not_frames(url, path):
    body = read(url, path, WHOLE)
    assert body.startswith(b"retry: 321\n")
    assert b"\n\n:\n" in body, "The stream is silent for several heartbeats"
    assert all(re.search(rb"^data:", frame, re.MULTILINE) for frame in frames(body))


@pytest.mark.parametrize("path", BODIES)
def test_an_error_names_nothing_of_the_server(url, path):
    body = read(url, path, FAILING)
    assert b"must not see" not in body
    assert all(re.search(rb"^data:", frame, re.MULTILINE) for frame in frames(body))


def test_each_module_of_the_example_has_a_recipe_of_its_own_in_the_documentation():
    page = (EXAMPLE.parent / "docs" / "protocols.md").read_text()
    blocks = re.findall(r"^```python\n(?!urlpatterns)(.*?)^```", page, re.DOTALL | re.MULTILINE)
    modules = [path for path in (EXAMPLE / "protocols").glob("*.py") if path.stem not in ("__init__", "urls")]
    assert sorted(blocks) == sorted(map(code_of, modules))


def code_of(module: Path) -> str:
    """Return the code of a module without the docstring at its top."""
    return module.read_text().split('"""\n', 1)[1].lstrip("\n")


def test_each_view_has_30_lines_at_most():
    for module in (EXAMPLE / "protocols").glob("*.py"):
        for view in re.findall(r"^class .*?(?=^\S|\Z)", module.read_text(), re.DOTALL | re.MULTILINE):
            assert len(view.strip().splitlines()) <= 30, view
