"""What takes the place of a language model: it answers with the words of the prompt."""

import asyncio
import logging
from collections.abc import AsyncIterator

from django.conf import settings

logger = logging.getLogger(__name__)


async def words(prompt: str) -> AsyncIterator[str]:
    """Yield the words of a prompt. The word ``pause`` is a silence, ``fail`` an error, and ``forever`` never ends."""
    try:
        for word in prompt.split(" "):
            if word == "fail":
                raise RuntimeError("a text that clients must not see")
            if word == "forever":
                await asyncio.Event().wait()
            await asyncio.sleep(settings.EXAMPLE_TICK * (20 if word == "pause" else 0.2))
            yield f"{word} "
    finally:
        logger.info("The model has stopped: %s", prompt)
