"""How runs begin: here, in a task of their own, or in a worker of a task queue."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from secrets import token_hex
from typing import Any
from uuid import uuid4

from django.http import HttpRequest

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.outages import outage_of_calls
from adrf_sse.brokers.runs import Created, NewRun, Run, Status
from adrf_sse.events.event import ERROR_EVENT
from adrf_sse.events.fields import JSONEncode
from adrf_sse.exceptions import BrokerUnavailable, RunConflict, RunLost, RunNotFound
from adrf_sse.logs import about, logger
from adrf_sse.runs.bodies import BodyEncoder, Endings
from adrf_sse.runs.local import produce_here, reserve_run
from adrf_sse.runs.producer import Producer
from adrf_sse.runs.reports import report_skipped
from adrf_sse.runtime.contexts import called_by_sync_code
from adrf_sse.runtime.loops import background_loop, hold_task, run_on
from adrf_sse.settings import sse_settings
from adrf_sse.streams.failures import FormatError, checked_format_error
from adrf_sse.streams.limits import Slot
from adrf_sse.streams.pump import Serialize
from adrf_sse.streams.shutdown import shutdown
from adrf_sse.streams.sources import checked_source, discard
from adrf_sse.validators import shown

_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:-]{1,150}")

_starting = outage_of_calls("starting a run")


def checked_run_id(value: Any) -> str:
    """Return the ID of a run. Raises ``TypeError`` or ``ValueError`` if it can't be a part of a URL and a channel."""
    if not isinstance(value, str):
        raise TypeError(f"the ID of a run must be a str, got {shown(value)}. Convert it with str().")
    if not _ID.fullmatch(value):
        raise ValueError(
            f"the ID of a run must be 1 to 150 of the characters A-Z a-z 0-9 . _ : -, got {value[:200]!r}. "
            "Leave out or replace the others."
        )
    return value


def is_run_id(value: str) -> bool:
    """Return whether a run can have an ID."""
    return _ID.fullmatch(value) is not None


def new_run_id() -> str:
    """Return an ID that can't be guessed."""
    return token_hex(16)


class Start:
    """Start one run: create it in the broker, where it is queued, and perhaps produce it here."""

    def __init__(
        self,
        *,
        run_id: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        end_event: Any = None,
        error_event: str = ERROR_EVENT,
        format_error: FormatError | None = None,
        request: HttpRequest | None = None,
        to_json: JSONEncode | None = None,
        serialize: Serialize | None = None,
    ) -> None:
        self.run_id = new_run_id() if run_id is None else checked_run_id(run_id)
        """The run's ID."""
        self.has_begun = False
        """Whether it is produced here, or was."""
        self._name = uuid4().hex  # of its producer
        self._owner = owner
        self._key = key
        self._encode = BodyEncoder(to_json)
        self._serialize = serialize
        self._endings = Endings(
            self._encode, end_event=end_event, error_event=error_event, format_error=format_error, request=request
        )

    async def create(self, *, queued: bool) -> tuple[Run, Created]:
        """Create the run, and return the run that now exists. If it is not queued, it must be produced here at once."""
        run = NewRun(
            id=self.run_id,
            owner=self._owner,
            starter=self._name,
            queued=queued,
            lease=sse_settings.RUN_START_TIMEOUT if queued else sse_settings.RUN_LEASE,
            endings=await self._endings.prepared(),
            key=self._key,
        )
        with _starting:
            return await get_broker().runs.create(run)

    async def claim(self) -> None:
        """Begin to produce the run, which is queued. Raises ``RunConflict`` if it is no longer."""
        claimed = await get_broker().runs.claim(self.run_id, self._name, sse_settings.RUN_LEASE)
        if claimed is None or not claimed[1]:
            raise RunConflict

    async def discard(self) -> None:
        """Remove the run, because it could not begin. If the broker can't do so, the run will be lost."""
        try:
            await get_broker().runs.discard(self.run_id, self._name)
        except BrokerUnavailable as exc:
            logger.warning("The run %s could not be removed: %s", self.run_id, exc, extra=about(None))

    async def abandon(self) -> None:
        """Remove the run, also if the caller is cancelled meanwhile, because it may exist and will not begin."""
        task = asyncio.get_running_loop().create_task(self.discard())
        hold_task(task)
        await asyncio.shield(task)

    def producer(self, source: Any, slot: Slot) -> Producer:
        """Return what produces the run here, and counts under ``slot``. Raises ``TypeError`` for a bad source."""
        producer = Producer(
            self.run_id, source, get_broker().runs, self._encode, self._endings, self._serialize, self._name
        )
        producer.slot = slot
        return producer


async def run_here(producer: Producer, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
    """Run a producer on ``loop``, in a task of its own, and wait for its first event at most ``timeout`` seconds.

    If its source raises before, there is no run, and the error is raised.
    """
    await run_on(loop, _run(producer, timeout))


async def _run(producer: Producer, timeout: float) -> None:
    producer.task = asyncio.get_running_loop().create_task(produce_here(producer), name=f"run {producer.run_id}")
    producer.task.add_done_callback(partial(_log_failure, producer.run_id))
    await producer.wait_for_first_event(timeout)


def _log_failure(run_id: str, task: "asyncio.Task[Status]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("The run %s was lost.", run_id, exc_info=error, extra=about(None))


async def begin(source: Any, owner: str | None, run_id: str | None, options: Mapping[str, Any]) -> str:
    """Start a run in this process, and return its ID."""
    shutdown.keep_listening()
    try:
        start = Start(run_id=run_id, owner=owner, **options)
        producer = start.producer(checked_source(source), reserve_run())
    except BaseException:
        discard(source)
        raise
    try:
        _, created = await start.create(queued=False)
    except BaseException:
        producer.abandon()
        await start.abandon()
        raise
    if created != "new":
        producer.abandon()
        raise RunConflict
    producer.commit()
    # The loop of asynchronous code that synchronous code waits for ends with that code.
    loop = background_loop.get() if called_by_sync_code() else asyncio.get_running_loop()
    await run_here(producer, loop, 0)
    return start.run_id


async def produce(
    run_id: str, source: Any, *, error_event: str = ERROR_EVENT, format_error: FormatError | None = None
) -> str:
    """Produce a queued run to its end, in a worker of a task queue, and return its status.

    The status is ``completed``, or ``stopped`` if somebody has stopped the run. The source is closed in every case. If
    the source raises, the run has failed, and its error is raised. ``error_event`` and ``format_error`` are what the
    view has. If the run has already ended, as when a task is delivered twice or its run was stopped before it began,
    the source is not started, and the status is how the run has ended. Raises ``RunNotFound``, ``RunConflict`` if
    another worker produces the run, ``RunLost`` if it was lost: nobody began it within ``RUN_START_TIMEOUT``, the
    broker was not available for ``RUN_LEASE`` seconds, or the process was stopped for as long; and ``TypeError`` for a
    bad source.
    """
    encode = BodyEncoder()
    endings = Endings(encode, error_event=error_event, format_error=checked_format_error(format_error))
    producer = Producer(run_id, source, get_broker().runs, encode, endings, None, uuid4().hex)
    try:
        status = await _claim(producer)
    except BaseException:
        producer.abandon()
        raise
    if status is not None:
        producer.abandon()
        return status
    producer.commit()
    status = await produce_here(producer)
    await producer.wait_closed()
    if status == "failed" and producer.error is not None:
        raise producer.error
    if status == "lost":
        raise RunLost
    return status


async def _claim(producer: Producer) -> Status | None:
    """Begin to produce a queued run. Returns the status of one that was stopped before."""
    claimed = await get_broker().runs.claim(producer.run_id, producer.name, sse_settings.RUN_LEASE)
    if claimed is None:
        raise RunNotFound
    run, was_queued = claimed
    if was_queued:
        return None
    if run.is_active:
        raise RunConflict(f"The run {run.id} is already produced by another worker. Nothing is produced here.")
    if run.status == "lost":
        raise RunLost(f"The run {run.id} was lost before. Nothing is produced here. Start another run.")
    report_skipped(run)
    return run.status
