"""The check of the broker against the number of processes that the environment asks for."""

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
"""Environment variables that hold a number of worker processes; uvicorn and gunicorn both read the first."""

GUNICORN_ARGUMENTS = "GUNICORN_CMD_ARGS"


def check_workers(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn where several worker processes are asked for and events reach the subscribers of one only."""
    variable, workers = _workers()
    if workers < 2 or not _is_process_local():
        return []
    broker = sse_settings.BROKER["BACKEND"]
    return [
        checks.Warning(
            f"{variable} asks for {workers} worker processes, and the broker {broker} reaches one: what is "
            "published in a process arrives at the streams of that process only.",
            hint="Name a broker that connects processes in ADRF_SSE['BROKER'], run one worker, or silence this where "
            "the project publishes nothing to channels.",
            id="adrf_sse.W003",
        )
    ]


def _is_process_local() -> bool:
    try:
        return get_broker().process_local
    except ImproperlyConfigured:
        return False  # which other checks report


def _workers() -> tuple[str, int]:
    """Return the largest number of workers that the environment asks for, and where it does."""
    found = {variable: _number(os.environ.get(variable)) for variable in WORKER_VARIABLES}
    found[GUNICORN_ARGUMENTS] = _number(_gunicorn_workers(os.environ.get(GUNICORN_ARGUMENTS, "")))
    return max(found.items(), key=lambda item: item[1])


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _gunicorn_workers(arguments: str) -> str | None:
    """Return what ``-w`` or ``--workers`` says, in any of the ways to write it."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-w", "--workers")
    try:
        workers: str | None = parser.parse_known_args(shlex.split(arguments))[0].workers
    except (ArgumentError, ValueError):
        return None  # gunicorn itself refuses it
    return workers
