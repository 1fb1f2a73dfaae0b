"""The project, for servers that shall print nothing but what has gone wrong."""

import asyncio
import logging

from tests.project.asgi import application as django

SLOW = 5.0
"""Seconds in the event loop that asyncio's debug mode complains of: more than a busy machine adds to honest work."""

# Sources that fail are logged, as they should be.
logging.getLogger("adrf_sse").propagate = False
logging.getLogger("adrf_sse").addHandler(logging.NullHandler())


async def application(scope, receive, send):
    asyncio.get_running_loop().slow_callback_duration = SLOW
    await django(scope, receive, send)
