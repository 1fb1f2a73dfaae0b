"""What the contenders of compression stream: ``/chat/COUNT``, ``/order/COUNT``, ``/hold/COUNT``."""

import asyncio
import random
from collections.abc import AsyncIterator

from benchmarks.apps.sources import Event, frame

PULSE = 0.005
"""Seconds between events, so that each is sent alone."""

WORDS = [
    f"{first}{last}" for first in ("un", "re", "be", "con", "pre") for last in ("able", "turn", "long", "form", "fix")
]


def chat(number: int) -> Event:
    """Return the chunk of a chat, as large as those of language models."""
    return {
        "id": "chatcmpl-BxR3mC7WqzY1pLk8TfVd2NhJs5uGa",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "example-model-2026-01-01",
        "system_fingerprint": "fp_4c1a9be07d",
        "choices": [
            {
                "index": 0,
                "delta": {"content": f" {random.Random(number).choice(WORDS)}"},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
    }


def order(number: int) -> Event:
    """Return a small event, most of which is new."""
    chosen = random.Random(number)
    status = chosen.choice(["new", "paid", "sent", "returned"])
    return {"order": chosen.randrange(10**6), "status": status, "total": chosen.randrange(10**5) / 100}


MAKERS = {"chat": chat, "order": order, "hold": chat}


async def events(kind: str, count: int) -> AsyncIterator[Event]:
    """Yield events, each alone; those of ``hold`` are followed by silence."""
    for number in range(count):
        yield MAKERS[kind](number)
        await asyncio.sleep(PULSE)
    if kind == "hold":
        await asyncio.get_running_loop().create_future()


async def frames(kind: str, count: int) -> AsyncIterator[bytes]:
    """Yield the same events as bytes."""
    async for event in events(kind, count):
        yield frame(event)
