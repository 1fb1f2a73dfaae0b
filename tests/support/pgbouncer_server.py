"""A temporary PgBouncer in front of a PostgreSQL server."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from tests.support.ports import free_port
from tests.support.postgres_server import Postgres
from tests.support.programs import program

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={target} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(server: Postgres) -> Iterator[int]:
    """Run PgBouncer in transaction mode in front of a server, and yield its port."""
    command, port = program("pgbouncer", package="pgbouncer"), free_port()
    folder = Path(mkdtemp(prefix="adrf_sse-pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(target=server.port, port=port, folder=folder))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        for path in (folder, folder / "pgbouncer.ini"):
            shutil.chown(path, user)
    try:
        process = subprocess.Popen([command, "-q", folder / "pgbouncer.ini"], user=user, stderr=subprocess.DEVNULL)
        try:
            _wait_until_it_answers(server.parameters | {"port": port}, process)
            yield port
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _wait_until_it_answers(parameters: dict[str, object], process: "subprocess.Popen[bytes]") -> None:
    while True:
        try:
            psycopg.connect(**parameters).close()  # type: ignore[arg-type]
            return
        except psycopg.OperationalError:
            assert process.poll() is None
            time.sleep(0.01)
