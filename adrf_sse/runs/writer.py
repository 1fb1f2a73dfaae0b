"""What a producer writes to the broker: the events of its run, and the renewal of its lease."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from adrf_sse.brokers.outages import Outage, wait_before_attempt
from adrf_sse.brokers.runs import Run, RunStore, Status, Write
from adrf_sse.exceptions import BrokerUnavailable, RunLost
from adrf_sse.settings import sse_settings

END_TIMEOUT = 1.0
"""Seconds in which a producer whose task is cancelled can tell the broker that its run is lost."""

_SILENCE = "the broker must answer within a third of RUN_LEASE, got no answer. Check that it can be reached."


class RunEnded(Exception):
    """The run has ended otherwise, and nothing more may be published."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status: Status = status


class RunWriter:
    """Publish the events of a run, each once. Each write renews the lease."""

    def __init__(self, runs: RunStore, run_id: str, producer: str) -> None:
        self.lease: float = sse_settings.RUN_LEASE
        """Seconds after which the run is lost if nothing is written."""
        self._runs = runs
        self._run_id = run_id
        self._producer = producer
        self._renewed = monotonic()
        self._written = 0
        self._outage = Outage(f"publishing the events of the run {run_id}")

    async def write(
        self, bodies: Sequence[bytes], status: Status = "running", errors: Sequence[bytes] | None = None
    ) -> None:
        """Publish events. If the broker is unavailable, try again until the lease has passed.

        Raises ``RunLost`` if it has passed, and ``RunEnded`` if the run has ended otherwise.
        """
        begun, run = await self._attempt(self._request(status, bodies, errors))
        if run is None or run.status != status:
            raise RunEnded("lost" if run is None else run.status)
        self._renewed = begun
        self._written += len(bodies)

    async def discard(self) -> None:
        """Remove the run, of which nothing was published."""
        await self._runs.discard(self._run_id, self._producer)

    async def give_up(self) -> None:
        """Tell the broker, if it can be told now, that the run is lost, because its producer can't go on.

        If it was lost before, another run may have its ID. So this is a write of the producer.
        """
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._runs.write(self._request("lost"))
        except (BrokerUnavailable, TimeoutError):
            pass  # the lease will pass

    def _request(self, status: Status, bodies: Sequence[bytes] = (), errors: Sequence[bytes] | None = None) -> Write:
        return Write(
            id=self._run_id,
            producer=self._producer,
            lease=self.lease,
            after=self._written,
            bodies=bodies,
            status=status,
            errors=errors,
        )

    async def _attempt(self, write: Write) -> tuple[float, Run | None]:
        """Return when the attempt began that has succeeded, and the run."""
        attempts = 0
        while True:
            begun = monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(self._renewed + self.lease - begun, self.lease / 3))):
                    run = await self._runs.write(write)
            except (BrokerUnavailable, TimeoutError) as exc:
                self._outage.failed(exc if str(exc) else TimeoutError(_SILENCE))
                attempts += 1
                if monotonic() >= self._renewed + self.lease:
                    raise RunLost from exc
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.lease / 10):
                        await wait_before_attempt(attempts)
            else:
                self._outage.succeeded()
                return begun, run
