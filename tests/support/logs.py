"""What the package logs, while a test runs."""

import asyncio
import logging
from collections.abc import Callable

Records = Callable[[], list[logging.LogRecord]]
"""Returns what the package has logged until now, as the fixture ``records`` does."""

PATIENCE = 30
"""Seconds after which a broken test fails."""


async def wait_for_log(records: Records, message: str, count: int = 1) -> None:
    """Wait until ``count`` records contain ``message``."""
    async with asyncio.timeout(PATIENCE):
        while sum(message in record.getMessage() for record in records()) < count:
            await asyncio.sleep(0.001)
