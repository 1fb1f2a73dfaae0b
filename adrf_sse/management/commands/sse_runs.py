"""``manage.py sse_runs``: list and stop runs from the command line."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterable
from typing import Any, get_args

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.runs import Run, Status
from adrf_sse.exceptions import BrokerUnavailable, RunNotFound
from adrf_sse.management.process_local import hint_if_process_local
from adrf_sse.runs import stop_run
from adrf_sse.runs.states import state_of

_COLUMNS = ("id", "status", "owner", "started", "events")


class Command(BaseCommand):
    """List the latest runs, or stop some."""

    help = "Lists the runs of all processes that share the broker, the one created last first, or stops runs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what selects runs, and the runs to stop."""
        parser.add_argument("--limit", type=_count, default=20, metavar="N", help="List at most N runs. Default: 20.")
        parser.add_argument("--status", choices=get_args(Status), help="List only the runs with this status.")
        parser.add_argument("--json", action="store_true", help="Print a JSON list.")
        parser.add_argument("--stop", nargs="+", metavar="ID", help="Stop these runs, and list none.")

    def handle(
        self,
        *args: Any,
        limit: int,
        status: Status | None,
        json: bool,
        stop: list[str] | None,
        **options: Any,
    ) -> str | None:
        """Stop runs, or return the list of runs, which Django prints."""
        hint_if_process_local(self, "reach the runs of a server")
        try:
            if stop:
                self._stop(stop)
                return None
            found = async_to_sync(_latest)(limit, status)
        except BrokerUnavailable as exc:
            raise CommandError(str(exc)) from exc
        rows = [_row(run) for run in found]
        return _as_json(rows) if json else _as_table(rows)

    def _stop(self, ids: list[str]) -> None:
        unknown = []
        for run_id in ids:
            try:
                state = async_to_sync(stop_run)(run_id)
            except RunNotFound:
                unknown.append(run_id)
            else:
                self.stdout.write(f"{run_id} {state['status']}")
        if unknown:
            raise CommandError(f"--stop must get the IDs of runs, got {', '.join(unknown)}. List them with sse_runs.")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"N must be a number from 1, got {text!r}.")
    return int(text)


async def _latest(limit: int, status: Status | None) -> list[Run]:
    """Return the latest runs that have a status, or all statuses. Looks at more runs until there are enough."""
    store, looked_at = get_broker().runs, limit
    while True:
        runs = await store.all(looked_at)
        matching = [run for run in runs if status is None or run.status == status]
        if len(matching) >= limit or len(runs) < looked_at:
            return matching[:limit]
        looked_at *= 4


def _row(run: Run) -> dict[str, Any]:
    return {**state_of(run), "owner": run.owner}


def _as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, cls=DjangoJSONEncoder, indent=2)


def _as_table(rows: list[dict[str, Any]]) -> str:
    cells = [[column.upper() for column in _COLUMNS], *([_cell(row[column]) for column in _COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_line(line, widths) for line in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value.isoformat(" ", "seconds") if hasattr(value, "isoformat") else str(value)


def _line(cells: list[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
