"""Tasks that nothing awaits."""

import asyncio
from typing import Any

_held: set[asyncio.Task[Any]] = set()


def hold_task(task: asyncio.Task[Any]) -> None:
    """Keep a reference to a task until it is done, because an event loop keeps only a weak one."""
    _held.add(task)
    task.add_done_callback(_held.discard)
