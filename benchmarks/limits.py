"""Bounds on what the processes take."""

import resource

LIFETIME = 300
"""Seconds after which a server or client process ends itself, whatever became of the one that started it."""


def raise_open_files() -> None:
    """Allow as many open connections as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
