"""The runs of all processes that share a PostgreSQL database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from adrf_sse.brokers.postgres.link import Links
from adrf_sse.brokers.runs import Created, NewRun, Run, RunStore, Status, Write, log_loss
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.settings import sse_settings

_ACTION = "keep the run"

_SERIALIZATION_FAILURE = "40001"
"""The statement did nothing, because others have changed the same rows. Isolation above READ COMMITTED causes it."""

_FIELDS = """
(run).id, (run).status, (run).owner, (run).started, (run).ended, (run).events, (run).last,
greatest(0, (run).lease - adrf_sse_now())
"""

_CALL = f"SELECT was_lost, done, {_FIELDS} FROM adrf_sse_run_%s(%s) AS result"

_DISCARD = "SELECT adrf_sse_run_discard(%s, %s, %s)"

_LATEST = f"""
SELECT {_FIELDS} FROM adrf_sse_run AS run
WHERE NOT is_removed AND coalesce(expires, lease + ttl) > adrf_sse_now() ORDER BY number DESC LIMIT %s
"""


class PostgresRuns(RunStore):
    """Keep runs in PostgreSQL, outside of Django's transactions, over one connection for each event loop."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def create(self, run: NewRun) -> tuple[Run, Created]:
        """Create a run, unless one with its key exists, or an active or foreign one with its ID."""
        endings = [(status, body) for status, bodies in run.endings.items() for body in bodies]
        statuses, bodies = [status for status, _ in endings], [body for _, body in endings]
        arguments = [run.key, run.owner, run.starter, run.queued, _microseconds(run.lease), statuses, bodies]
        while True:
            found, created = await self._call("create", run.id, arguments)
            if found is not None and created is not None:
                return found, cast(Created, created)

    async def claim(self, run_id: str, producer: str, lease: float) -> tuple[Run, bool] | None:
        """Begin to produce a queued run."""
        run, was_queued = await self._call("claim", run_id, [producer, _microseconds(lease)])
        return None if run is None else (run, was_queued)

    async def write(self, write: Write) -> Run | None:
        """Add events, renew the lease, and perhaps end the run."""
        bodies, errors = list(write.bodies), None if write.errors is None else list(write.errors)
        arguments = [write.producer, _microseconds(write.lease), write.after, write.status, bodies, errors]
        run, _ = await self._call("write", write.id, arguments)
        return run

    async def end(self, run_id: str, status: Status) -> tuple[Run, bool] | None:
        """End an active run with its ending for a status."""
        run, was_active = await self._call("end", run_id, [status])
        return None if run is None else (run, was_active)

    async def read(self, run_id: str, event_id: int | None = None) -> Run | None:
        """Return a run, and whether it has an event with this ID; or ``None``."""
        run, has_event = await self._call("read", run_id, [event_id])
        return None if run is None else replace(run, has_event=has_event)

    async def discard(self, run_id: str, starter: str) -> None:
        """End a run as ``failed`` and remove it, because it could not begin."""
        await self._execute(_DISCARD, [run_id, _ttl(), starter])

    async def all(self, limit: int) -> list[Run]:
        """Return the latest runs, at most ``limit``, the one created last first."""
        rows = await self._links.here().execute("list the runs", _LATEST, [limit])
        runs: list[Run | None] = [_run(*row) for row in rows]
        for place, run in enumerate(runs):
            if run is not None and run.is_active and not run.lease:
                runs[place] = await self.read(run.id)  # which notices that it is lost
        return [run for run in runs if run is not None]

    async def _call(self, operation: str, run_id: str, arguments: Sequence[Any]) -> tuple[Run | None, Any]:
        """Return a run, or ``None`` if it is unknown, and what else the operation returns."""
        parameters = [run_id, _ttl(), *arguments]
        statement = _CALL % (operation, ", ".join(["%s"] * len(parameters)))
        [[_, done, *fields]] = await self._execute(statement, parameters, partial(_note, run_id))
        return (None if fields[0] is None else _run(*fields)), done

    async def _execute(
        self, statement: str, parameters: Sequence[Any], note: Callable[[list[Any]], None] | None = None
    ) -> list[Any]:
        while True:
            try:
                return await self._links.here().execute(_ACTION, statement, parameters, note)
            except BrokerUnavailable as exc:
                if getattr(exc.__cause__, "sqlstate", None) != _SERIALIZATION_FAILURE:
                    raise


def _note(run_id: str, rows: list[Any]) -> None:
    """Log that a run was lost, also if whoever has noticed it is cancelled: nobody else will notice it."""
    if rows[0][0]:
        log_loss(run_id)


def _run(
    run_id: str, status: Status, owner: str | None, started: Any, ended: Any, events: int, last_id: int, lease: int
) -> Run:
    return Run(run_id, status, owner, _seconds(started), _seconds(ended), events, last_id, lease / 1_000_000)


def _ttl() -> int:
    return _microseconds(sse_settings.RUN_TTL)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000
