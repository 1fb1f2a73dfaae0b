"""Limits of the processes."""

import os
import resource
import signal

LIFETIME = int(os.environ.get("BENCHMARK_LIFETIME", 300))
"""Seconds after which a server or client process ends itself, even if the process that started it is gone."""

PATIENCE = 20
"""Seconds to wait for an answer that should take no time."""


def open_files() -> int:
    """Return how many files and connections a process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def limit_process() -> None:
    """Limit the lifetime of this process, and allow it as many open connections as the system permits."""
    signal.alarm(LIFETIME)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files(), open_files()))
