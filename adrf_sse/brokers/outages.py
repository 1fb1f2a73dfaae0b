"""A broker that is away: said once in the log, and tried again with growing pauses."""

import asyncio
from random import uniform

from adrf_sse.logs import about, logger

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between attempts: doubled each time, and spread by half."""


class Outage:
    """Tell of the first of several failures in a row, and of their end."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Count a failure; the first one is logged."""
        if not self._failures:
            logger.error("Failed at %s, and goes on trying: %s", self._doing, error, extra=about(None))
        self._failures += 1

    def over(self) -> None:
        """Note a success; the first one after failures is logged."""
        if self._failures:
            message = "Succeeded again at %s, after %d failures."
            logger.warning(message, self._doing, self._failures, extra=about(None))
        self._failures = 0


async def pause(attempts: int) -> None:
    """Wait before the next attempt, after so many in vain."""
    longest = min(FIRST_PAUSE * 2 ** min(attempts - 1, 16), LONGEST_PAUSE)
    await asyncio.sleep(longest * uniform(0.5, 1))
