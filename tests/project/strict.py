"""The project for servers that must print nothing but errors."""

import asyncio
import logging

from tests.project.asgi import application as django

SLOW = 5.0
"""Seconds after which asyncio's debug mode reports a slow callback, high enough for a busy machine."""

# Some tests run sources that fail, which the package logs as errors.
logging.getLogger("adrf_sse").propagate = False
logging.getLogger("adrf_sse").addHandler(logging.NullHandler())


async def application(scope, receive, send):
    asyncio.get_running_loop().slow_callback_duration = SLOW
    await django(scope, receive, send)
