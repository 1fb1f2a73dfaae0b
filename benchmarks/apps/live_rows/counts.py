"""Counts of what the server process does for each event."""

import threading
import time
from collections import Counter

from django.db.backends.signals import connection_created

WRITER = "writer"
"""Name of the thread that writes rows, and has its queries counted apart from others."""

_counts: Counter[str] = Counter(dict.fromkeys(("written", "read", "serialized", "connected"), 0))
_lock = threading.Lock()


def count(name: str) -> None:
    """Count one more."""
    with _lock:
        _counts[name] += 1


def counts() -> dict[str, float]:
    """Return all counts since the start of the process, and the seconds of processor time."""
    return {**_counts, "cpu": time.process_time()}


def _count_query(execute, sql, params, many, context):
    if not sql.startswith("BEGIN"):
        count("written" if threading.current_thread().name.startswith(WRITER) else "read")
    return execute(sql, params, many, context)


def _count_connection(sender, connection, **kwargs):
    count("connected")
    if _count_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count_query)


connection_created.connect(_count_connection)
