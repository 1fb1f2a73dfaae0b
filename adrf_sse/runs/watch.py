"""Watches: what notices, for the followers of a run in one event loop, that nobody produces the run any longer."""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from adrf_sse.brokers import Broker
from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.brokers.runs import Run
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.runs.reports import report_unknown
from adrf_sse.runtime.by_loop import ByLoop
from adrf_sse.runtime.loops import hold_task
from adrf_sse.settings import sse_settings

if TYPE_CHECKING:
    from adrf_sse.runs.follower import Follower

MARGIN = 0.05
"""Seconds after the end of a lease when the broker is asked, which then knows that the run is lost."""


class Watch:
    """Read the state of a run whenever its lease would end, and at least every ``RUN_LEASE``, while it has followers.

    If the lease has passed, the broker ends the run when it is asked, and all followers receive its end. If the broker
    does not know the run any longer, because it has lost or removed it, the followers are told here.
    """

    def __init__(self, broker: Broker, run_id: str) -> None:
        self._broker = broker
        self._run_id = run_id
        self._followers: dict[Follower, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(f"reading the state of the run {run_id}")

    def add(self, follower: "Follower", lease: float) -> None:
        """Watch the run for one more follower. ``lease`` is the rest of the lease in seconds."""
        self._followers[follower] = None
        if self._task is None or self._task.done():
            # In a context of its own: that of the request would keep the request alive.
            self._task = asyncio.get_running_loop().create_task(self._watch(lease), context=Context())

    def remove(self, follower: "Follower") -> None:
        """Watch no longer if this was the last follower."""
        self._followers.pop(follower, None)
        if not self._followers:
            _watches.remove((self._broker, self._run_id), self)
            if self._task is not None:
                hold_task(self._task)
                self._task.cancel()

    async def _watch(self, lease: float) -> None:
        while True:
            # The lease of a queued run may be long, and becomes short when something begins to produce the run.
            await asyncio.sleep(min(lease, sse_settings.RUN_LEASE) + MARGIN)
            run = await self._read()
            if run is None:
                report_unknown(self._run_id)
                for follower in tuple(self._followers):
                    follower.lose()
                return
            # Followers that are slow read the history of a run that has ended, which may be removed meanwhile.
            lease = run.lease if run.is_active else sse_settings.RUN_LEASE

    async def _read(self) -> Run | None:
        attempts = 0
        while True:
            try:
                run = await self._broker.runs.read(self._run_id)
            except BrokerUnavailable as exc:
                self._outage.failed(exc)
                attempts += 1
                await wait_before_attempt(attempts)
            else:
                self._outage.succeeded()
                return run


_watches: ByLoop[tuple[Broker, str], Watch] = ByLoop()


def watch_of(broker: Broker, run_id: str) -> Watch:
    """Return the watch of a run in the running loop."""
    return _watches.get((broker, run_id), lambda: Watch(broker, run_id))
