"""Database connections, which stay open between the requests of a test, as in Django's test clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

_lock = threading.Lock()
_open_blocks = 0


@contextmanager
def connections_stay_open() -> Iterator[None]:
    """Close no connection when a request starts or ends during this block. Blocks may overlap."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _open_blocks
    with _lock:
        _open_blocks += change
        # Disconnect in each block: after a request of Django's test clients, the receiver is connected again.
        for signal in (request_started, request_finished):
            (signal.disconnect if _open_blocks else signal.connect)(close_old_connections)
