"""Streams of views that the examples of the pages define."""

from typing import Any

from tests.docs.examples import python_blocks, run_block
from tests.docs.pages import page_examples

PROMPT = {"data": {"prompt": "a b"}, "format": "json"}
STREAM = {"data": {"prompt": "a b", "stream": True}, "format": "json"}


async def body_of(pending: Any) -> str:
    async with pending as stream:
        assert stream.status_code == 200
        return (await stream.body(timeout=30)).decode()


async def events_of(pending: Any) -> list[tuple[str | None, str | None]]:
    async with pending as stream:
        assert stream.status_code == 200
        return [(event.event, event.data) async for event in stream]


def example(document: str, name: str, code: str) -> Any:
    """Return what an example of a page defines. If several examples define it, ``code`` is in the right one."""
    found = page_examples(document)
    for block in python_blocks(document):
        if code and code in block.code:
            run_block(block, found)
    return found[name]
