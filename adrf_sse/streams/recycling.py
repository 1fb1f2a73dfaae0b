"""Recycling: servers that replace a worker after a number of requests, and wait for its open streams.

Such a worker receives no signal. But it logs that it is about to end, and a filter of the server's logger sees that
record. Nothing of the server is replaced.
"""

import logging
import os
import sys
from collections.abc import Callable

from adrf_sse.logs import about, logger

MESSAGES = {
    "uvicorn.error": ("Maximum request limit of ",),
    "gunicorn.error": ("Autorestarting worker", "Maximum request limit of ", "Worker shutting down"),
}
"""The beginnings of the messages with which a worker says that it ends, by the name of the logger."""

_SETTINGS = ("--limit-max-requests", "--max-requests")


class _LastRecord(logging.Filter):
    """Call a function with the record that says that the worker ends. Let all records pass."""

    def __init__(self, messages: tuple[str, ...], on_end: Callable[[], None]) -> None:
        super().__init__()
        self._messages = messages
        self._on_end = on_end

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith(self._messages):
            self._on_end()
        return True


def watch_recycling(on_end: Callable[[], None]) -> None:
    """Call a function, in any thread, when the server ends this worker without a signal. To be called once."""
    for name, messages in MESSAGES.items():
        logging.getLogger(name).addFilter(_LastRecord(messages, on_end))
    setting = _setting()
    servers = [logging.getLogger(name) for name in MESSAGES]
    if setting is not None and not any(
        server.hasHandlers() and server.isEnabledFor(logging.INFO) for server in servers
    ):
        logger.warning(
            "%s ends workers that have open streams, and the server's log level hides when it does. Let the server log "
            "at the level info, so that streams end at once. Otherwise, the worker waits for them.",
            setting,
            extra=about(None),
        )


def _setting() -> str | None:
    """Return the server's setting that replaces workers, if it is on the command line or in the environment."""
    arguments = [*sys.argv, *os.environ.get("GUNICORN_CMD_ARGS", "").split()]
    return next((name for name in _SETTINGS if any(argument.startswith(name) for argument in arguments)), None)
