"""An unavailable broker: logged once, and tried again with increasing delays."""

import asyncio
from random import uniform

from adrf_sse.logs import about, logger

FIRST_DELAY, LONGEST_DELAY = 0.05, 5.0
"""Seconds between attempts: doubled each time, and spread by half."""


class Outage:
    """Log the first of several failures in a row, and the success after them."""

    def __init__(self, action: str) -> None:
        self._action = action
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Count a failure; the first one is logged."""
        if not self._failures:
            logger.error("Failed at %s, and will try again: %s", self._action, error, extra=about(None))
        self._failures += 1

    def succeeded(self) -> None:
        """Note a success; the first one after failures is logged."""
        if self._failures:
            message = "Succeeded again at %s, after %d failures."
            logger.warning(message, self._action, self._failures, extra=about(None))
        self._failures = 0


async def wait_before_attempt(attempts: int) -> None:
    """Wait before the next attempt, after this many that failed."""
    longest = min(FIRST_DELAY * 2 ** min(attempts - 1, 16), LONGEST_DELAY)
    await asyncio.sleep(longest * uniform(0.5, 1))
