"""The check of the broker against the number of worker processes in the environment."""

import os
import shlex
from argparse import ArgumentError, ArgumentParser
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker
from adrf_sse.checks.project import AppConfigs
from adrf_sse.settings import sse_settings

WORKER_VARIABLES = ("WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS")
"""Environment variables for the number of worker processes. Both uvicorn and gunicorn read the first one."""

GUNICORN_ARGUMENTS = "GUNICORN_CMD_ARGS"
"""The environment variable for gunicorn's command-line arguments."""


def check_workers(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if the server starts several worker processes but the broker reaches only one process."""
    separate = separate_workers()
    if separate is None:
        return []
    return [
        checks.Warning(
            f"{separate} An event is sent only to subscribers in the process that published it.",
            hint="Set ADRF_SSE['BROKER'] to a broker that connects processes, or run one worker. Silence this check if "
            "the project doesn't use channels.",
            id="adrf_sse.W003",
        )
    ]


def separate_workers() -> str | None:
    """Return a sentence that says that the broker connects none of several worker processes, or ``None``."""
    variable, workers = requested_workers()
    if workers < 2 or not is_process_local():
        return None
    broker = sse_settings.BROKER["BACKEND"]
    return f"{variable} requests {workers} worker processes, but the broker {broker} reaches only one process."


def is_process_local() -> bool:
    """Return whether the broker reaches only one process."""
    try:
        return get_broker().process_local
    except ImproperlyConfigured:
        return False  # Other checks report this error.


def requested_workers() -> tuple[str, int]:
    """Return the environment variable that requests the most workers, and their number."""
    workers = {variable: _number(os.environ.get(variable)) for variable in WORKER_VARIABLES}
    workers[GUNICORN_ARGUMENTS] = _number(_gunicorn_workers(os.environ.get(GUNICORN_ARGUMENTS, "")))
    return max(workers.items(), key=lambda item: item[1])


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _gunicorn_workers(arguments: str) -> str | None:
    """Return the value of ``-w`` or ``--workers`` in gunicorn's arguments, or ``None``."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-w", "--workers")
    try:
        workers: str | None = parser.parse_known_args(shlex.split(arguments))[0].workers
    except (ArgumentError, ValueError):
        return None  # gunicorn reports this error when it starts.
    return workers
