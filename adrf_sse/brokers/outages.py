"""An unavailable broker: logged once, and tried again with increasing delays."""

import asyncio
from random import uniform
from types import TracebackType
from typing import Self

from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.logs import about, logger

FIRST_DELAY, LONGEST_DELAY = 0.05, 5.0
"""Seconds between attempts: doubled each time, and spread by half."""


class Outage:
    """Log the first of several failures in a row, and the success after them.

    ``retries`` says whether the package tries again. With ``with``, what the block raises is a failure, if it is a
    ``BrokerUnavailable``.
    """

    def __init__(self, action: str, *, retries: bool = True) -> None:
        self._action = action
        self._plan = ", and will try again" if retries else ""
        self.failures = 0
        """Failures since the last success."""

    def failed(self, error: Exception) -> None:
        """Count a failure; the first one is logged."""
        if not self.failures:
            logger.error("Failed at %s%s: %s", self._action, self._plan, error, extra=about(None))
        self.failures += 1

    def succeeded(self) -> None:
        """Note a success; the first one after failures is logged."""
        if self.failures:
            message = "Succeeded again at %s, after %d failures."
            logger.warning(message, self._action, self.failures, extra=about(None))
        self.failures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            self.succeeded()
        elif isinstance(exc, BrokerUnavailable):
            self.failed(exc)


_of_calls: list[Outage] = []


def outage_of_calls(action: str) -> Outage:
    """Return the outage of an action that the project's code calls, and that raises if it fails.

    If a view does not catch the error, Django logs only the path of the request.
    """
    outage = Outage(action, retries=False)
    _of_calls.append(outage)
    return outage


def forget_calls() -> None:
    """Forget the failures of calls: later ones concern another broker."""
    for outage in _of_calls:
        outage.failures = 0


async def wait_before_attempt(attempts: int) -> None:
    """Wait before the next attempt, after this many that failed."""
    longest = min(FIRST_DELAY * 2 ** min(attempts - 1, 16), LONGEST_DELAY)
    await asyncio.sleep(longest * uniform(0.5, 1))
