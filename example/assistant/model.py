"""What takes the place of a language model: a model that says what it notices about a prompt, word by word."""

import asyncio
import logging
import re
from zlib import crc32

from django.conf import settings

logger = logging.getLogger(__name__)

VERDICTS = [
    "Yes, but not before the coffee.",
    "No, unless somebody has already tried it.",
    "Ask the cat, who has known it all along.",
    "It depends on which way the wind blows.",
]


async def think(prompt):
    """Yield the words of the answer to a prompt. The same prompt has the same answer. ``fail`` makes the model fail."""
    said = 0
    try:
        for word in answer(prompt).split():
            yield word
            said += 1
            await asyncio.sleep(settings.EXAMPLE_TICK / 5)
        if "fail" in prompt.split():
            raise RuntimeError("the model was asked to fail")
    finally:
        logger.info("The model has stopped after %d words.", said)


def answer(prompt):
    words = re.findall(r"[^\s.,;:!?]+", prompt) or [prompt]
    return (
        f"Let me think about “{prompt}”. You have used {count(words)}, and the longest is “{max(words, key=len)}”. "
        f"Read from the end, they are “{' '.join(reversed(words))}”, which does not help. "
        f"So I have thought about it without you: I go on while you are away, and you miss nothing. "
        f"My answer is this. {VERDICTS[crc32(prompt.encode()) % len(VERDICTS)]}"
    )


def count(words):
    return "one word" if len(words) == 1 else f"{len(words)} words"
