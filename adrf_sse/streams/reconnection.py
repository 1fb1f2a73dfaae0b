"""Reconnection: how clients whose streams end together are kept from returning together."""

from random import randint

from adrf_sse.settings import sse_settings


def reconnection_delay(clients: int) -> int:
    """Return a random delay in milliseconds for one of the clients that this process ends together.

    The delays spread evenly within ``SHUTDOWN_RETRY_SPREAD``, or within more time if the clients would otherwise return
    faster than ``RECONNECT_RATE``.
    """
    shortest, longest = sse_settings.SHUTDOWN_RETRY_SPREAD
    return randint(shortest, max(longest, shortest + 1000 * clients // sse_settings.RECONNECT_RATE))


def are_many(clients: int) -> bool:
    """Return whether so many clients, if they return within a second, return faster than ``RECONNECT_RATE``."""
    return clients > int(sse_settings.RECONNECT_RATE)
