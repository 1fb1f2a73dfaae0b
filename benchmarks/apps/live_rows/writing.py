"""Write rows when a request asks for it, in the same way for each contender."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from benchmarks.apps.live_rows.counts import WRITER, counts
from benchmarks.apps.live_rows.models import Row
from benchmarks.apps.publishing import AFTERWARDS

ROWS = 50
"""Rows of the first user, who alone has any. A series changes a row once at most."""

USERS = 1_000
"""Users, whose primary keys begin with 1."""


class Writer:
    """Write rows in a thread with a database connection of its own, as the thread of another request would."""

    def __init__(self):
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=WRITER)
        self._rows = self._thread.submit(_create_rows).result()

    async def write(self, number, series):
        """Change some rows, each in a transaction of its own, and return the times of their commits."""
        loop = asyncio.get_running_loop()
        commits = []
        for row in range(number):
            await loop.run_in_executor(self._thread, self._change, row, series, commits)
        # The answer must not delay the last event.
        await asyncio.sleep(AFTERWARDS)
        return commits

    def _change(self, number, series, commits):
        row = self._rows[number]
        row.series, row.n, row.at = series, number, time.monotonic_ns()
        with transaction.atomic():
            transaction.on_commit(lambda: commits.append(time.monotonic_ns()))
            row.save()


def _create_rows():
    call_command("migrate", run_syncdb=True, verbosity=0)
    User.objects.bulk_create(User(pk=1 + number, username=str(number)) for number in range(USERS))
    return Row.objects.bulk_create(Row(user_id=1) for _ in range(ROWS))


def with_writer(streams):
    """Return an application that writes rows for ``/write/COUNT/SERIES``, answers ``/counts``, and else streams."""
    writer = Writer()

    async def application(scope, receive, send):
        match scope["path"].split("/")[1:]:
            case "write", number, series:
                await _answer(send, await writer.write(int(number), int(series)))
            case ["counts"]:
                await _answer(send, counts())
            case _:
                await streams(scope, receive, send)

    return application


async def _answer(send, data):
    body = json.dumps(data).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
