"""Runs: sources that go on when their client leaves, and that clients follow from any event to the end."""

from typing import Any

from adrf_sse.channels.channel import user_key
from adrf_sse.events.event import ERROR_EVENT
from adrf_sse.runs.begin import begin, produce
from adrf_sse.runs.follower import Follower, find_run
from adrf_sse.runs.local import end_run
from adrf_sse.runs.states import RunState, state_of
from adrf_sse.runs.sync_callers import produce_sync
from adrf_sse.streams.failures import FormatError, checked_format_error

__all__ = ["Follower", "RunState", "follow", "produce", "produce_sync", "run_state", "start_run", "stop_run"]


async def start_run(
    source: Any,
    *,
    owner: Any = None,
    run_id: str | None = None,
    end_event: Any = None,
    error_event: str = ERROR_EVENT,
    format_error: FormatError | None = None,
) -> str:
    """Start a run in this process, in a task of its own, and return its ID.

    ``source`` is a source of any kind. ``owner`` is the user, or the user's primary key, who may follow the run in a
    ``RunView``. ``run_id`` is an ID of the project's own. The other arguments are the options of views. Raises
    ``TypeError`` or ``ValueError`` for a bad argument, ``RunConflict`` if a run with the ID is active,
    ``TooManyRuns``, and ``BrokerUnavailable``.
    """
    options = {"end_event": end_event, "error_event": error_event, "format_error": checked_format_error(format_error)}
    return await begin(source, user_key(owner), run_id, options)


async def stop_run(run_id: str) -> RunState:
    """Stop a run, in whatever process it is produced, and return its state. A run that has ended stays as it is.

    Its followers receive its end at once. Its source is closed within a second, if its process can be told. Raises
    ``RunNotFound`` and ``BrokerUnavailable``.
    """
    return state_of(await end_run(run_id))


async def run_state(run_id: str) -> RunState:
    """Return the state of a run: ``id``, ``status``, ``started``, ``ended``, ``events``.

    ``status`` is ``queued``, ``running``, ``completed``, ``failed``, ``stopped`` or ``lost``. Raises ``RunNotFound``
    and ``BrokerUnavailable``.
    """
    return state_of(await find_run(run_id))


def follow(run_id: str, last_event_id: str | int | None = None) -> Follower:
    """Follow a run to its end: ``async for event in follow(run_id): …``, or as the source of a stream.

    With the ID of one of its events, the events after it follow; otherwise, all events. Iterating raises
    ``RunNotFound``.
    """
    return Follower(run_id, last_event_id)
