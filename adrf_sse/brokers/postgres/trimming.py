"""Trimming of everything at once. Publishers trim as well, but only a little, and only the channel they publish to."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.utils import Error

from adrf_sse.brokers.messages import Trimmed, microseconds_kept
from adrf_sse.brokers.postgres.database import Database
from adrf_sse.settings import sse_settings

BATCH = 1000
"""Events that are deleted in one transaction."""

# Another transaction that trims has to end first; adrf_sse_trim() itself would not wait, but do nothing.
_WAIT = "SELECT pg_advisory_xact_lock('adrf_sse_event'::regclass::oid::integer, 2)"
_EVENTS = "SELECT adrf_sse_trim(%s, %s, %s, %s)"
_RUNS = "SELECT adrf_sse_trim_runs(%s)"
_LONG = """
SELECT array_agg(channel) FROM (
    SELECT channel FROM adrf_sse_event WHERE NOT starts_with(channel, 'adrf-sse.run:')
    GROUP BY channel HAVING count(*) > %s
) AS long
"""


def trim(database: Database) -> Trimmed:
    """Delete the events that are too old or too many and the runs that have expired, and return how many.

    Raises ``BrokerUnavailable``.
    """
    history = sse_settings.CHANNEL_HISTORY
    events = 0
    for channel in ["", *(_row(database, _LONG, [history]) or [])]:  # no channel is called ""
        events += sum(_batches(database, _EVENTS, [channel, history, microseconds_kept(), BATCH]))
    runs = sum(_batches(database, _RUNS, [BATCH]))
    return Trimmed(events, runs)


def _batches(database: Database, sql: str, parameters: list[Any]) -> Iterator[int]:
    """Execute SQL until nothing is left to delete, and yield how much each execution has deleted."""
    while deleted := _row(database, sql, parameters):
        yield deleted


def _row(database: Database, sql: str, parameters: list[Any]) -> Any:
    """Return the only value of a query in its own transaction, at the level at which PostgreSQL trims."""
    is_inner = database.in_transaction()
    try:
        with transaction.atomic(database.alias), database.connection.cursor() as cursor:
            if not is_inner:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(_WAIT)
            cursor.execute(sql, parameters)
            return cursor.fetchone()[0]
    except Error as exc:
        raise database.unavailable("delete old events", exc.__cause__ or exc) from exc
