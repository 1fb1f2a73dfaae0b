"""The runs of all processes that share a Redis."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from adrf_sse.brokers.redis.client import RedisClient
from adrf_sse.brokers.redis.run_scripts import CLAIM, CREATE, DISCARD, END, LIST, READ_RUN, WRITE
from adrf_sse.brokers.runs import Created, NewRun, Run, RunStore, Status, Write, log_loss, run_channel
from adrf_sse.settings import sse_settings

_ACTION = "keep the run"


class RedisRuns(RunStore):
    """Keep runs in Redis, with ``prefix`` before the names of all keys, and ``pubsub`` before those of channels."""

    def __init__(self, client: RedisClient, prefix: str, pubsub: str) -> None:
        self._client = client
        self._prefix = prefix
        self._pubsub = pubsub
        self._indexes = [f"{prefix}:runs", f"{prefix}:runs-by-creation"]

    async def create(self, run: NewRun) -> tuple[Run, Created]:
        """Create a run, unless one with its key exists, or an active or foreign one with its ID."""
        keys = [] if run.key is None else [f"{self._prefix}:run-key:{run.key}"]
        lease, endings = _microseconds(run.lease), _as_json(run.endings)
        arguments = [run.owner or "", run.starter, int(run.queued), lease, endings]
        while True:
            reply = await self._client.arun(CREATE, _ACTION, **self._parameters(run.id, arguments, keys))
            if not isinstance(reply, bytes):
                return _run(run.id, reply), cast(Created, reply[-1].decode())
            found = await self.read(reply.decode())
            if found is not None:  # it has not expired meanwhile
                return found, "repeated"

    async def claim(self, run_id: str, producer: str, lease: float) -> tuple[Run, bool] | None:
        """Begin to produce a queued run."""
        return _done(run_id, await self._run(CLAIM, run_id, producer, _microseconds(lease)))

    async def write(self, write: Write) -> Run | None:
        """Add events, renew the lease, and perhaps end the run."""
        lease, events = _microseconds(write.lease), len(write.bodies)
        has_errors, errors = int(write.errors is not None), write.errors or ()
        counts = [lease, write.after, write.status, events, has_errors]
        arguments = [write.producer, *counts, *write.bodies, *errors]
        reply = await self._run(WRITE, write.id, *arguments)
        return None if reply is None else _run(write.id, reply)

    async def end(self, run_id: str, status: Status) -> tuple[Run, bool] | None:
        """End an active run with its ending for a status."""
        return _done(run_id, await self._run(END, run_id, status))

    async def read(self, run_id: str, event_id: int | None = None) -> Run | None:
        """Return a run, and whether it has an event with this ID; or ``None``."""
        reply = await self._run(READ_RUN, run_id, "" if event_id is None else event_id)
        return None if reply is None else _run(run_id, reply)

    async def discard(self, run_id: str, starter: str) -> None:
        """End a run as ``failed`` and remove it, because it could not begin."""
        await self._run(DISCARD, run_id, starter)

    async def all(self, limit: int) -> list[Run]:
        """Return the latest runs, at most ``limit``, the one created last first."""
        found = await self._client.arun(LIST, "list the runs", keys=self._indexes, args=[limit])
        runs = [await self.read(run_id.decode()) for run_id in found]
        return [run for run in runs if run is not None]

    async def _run(self, script: str, run_id: str, *arguments: Any) -> Any:
        return await self._client.arun(script, _ACTION, **self._parameters(run_id, arguments))

    def _parameters(self, run_id: str, arguments: Sequence[Any], keys: Sequence[str] = ()) -> dict[str, Any]:
        channel, prefix = run_channel(run_id), self._prefix
        own = [f"{prefix}:run:{run_id}", f"{prefix}:state", f"{prefix}:history:{channel}", f"{prefix}:large:{channel}"]
        common = [run_id, self._pubsub + channel, _microseconds(sse_settings.RUN_TTL)]
        return {"keys": [*own, *self._indexes, *keys], "args": [*common, *arguments]}


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _as_json(endings: Mapping[str, Sequence[bytes]]) -> str:
    return json.dumps({status: [body.decode() for body in bodies] for status, bodies in endings.items()})


def _done(run_id: str, reply: Any) -> tuple[Run, bool] | None:
    return None if reply is None else (_run(run_id, reply), bool(reply[-1]))


def _run(run_id: str, reply: list[Any]) -> Run:
    status, owner, started, ended, events, last_id, lease, was_lost, done = reply
    if was_lost:
        log_loss(run_id)
    return Run(
        run_id,
        cast(Status, status.decode()),
        owner.decode() or None,
        _seconds(started),
        _seconds(ended),
        int(events),
        int(last_id),
        int(lease) / 1_000_000,
        has_event=bool(done),
    )


def _seconds(microseconds: bytes) -> float | None:
    return int(microseconds) / 1_000_000 if microseconds else None
