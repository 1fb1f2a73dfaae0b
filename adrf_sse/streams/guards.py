"""What watches, while a stream is open, over its client's right to read it."""

import asyncio
from collections.abc import Awaitable, Callable

from adrf_sse.runtime.contexts import StreamContext
from adrf_sse.streams.pump import keep

CHECK_TIMEOUT = 30.0
"""Seconds after which a check counts as failed: one that hangs must not let its client read for ever."""


class Guard:
    """Check from time to time that a client may go on reading, in a task that lives as long as the check."""

    __slots__ = ("_check", "_task", "interval")

    def __init__(self, interval: float, check: Callable[[], Awaitable[None]]) -> None:
        self.interval = interval
        """Seconds between two checks."""
        self._check = check
        self._task: asyncio.Task[None] | None = None

    def begin(self, told: Callable[[Exception | None], None]) -> None:
        """Begin a check, and have ``told`` called with what it raises, or with ``None`` where the client may read."""
        self._task = asyncio.get_running_loop().create_task(self._run(told))
        keep(self._task)

    async def stop(self, timeout: float) -> None:
        """Cancel a check that is under way, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=timeout)

    async def _run(self, told: Callable[[Exception | None], None]) -> None:
        told(await self._outcome())

    async def _outcome(self) -> Exception | None:
        try:
            async with StreamContext(), asyncio.timeout(CHECK_TIMEOUT):
                await self._check()
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            return RuntimeError("The check cancelled its own task.")
        except Exception as exc:
            return exc
        return None


def _cancelled_from_outside() -> bool:
    """Tell whether it is the current task that was cancelled, rather than something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
