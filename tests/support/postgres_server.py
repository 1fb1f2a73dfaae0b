"""A temporary PostgreSQL cluster."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.ports import free_port


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, or skip or fail the test if they are missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (folders[-1] if folders else None)
    if found is None:
        reason = "PostgreSQL's initdb was not found: apt install postgresql"
        if os.environ.get("ADRF_SSE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found).parent


@contextmanager
def postgres(max_connections: int) -> Iterator[int]:
    """Run a cluster that accepts ``max_connections`` connections, and yield its port."""
    binaries = programs()
    folder = Path(mkdtemp(prefix="adrf_sse-postgres-"))
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    port = free_port()

    def run(*command: str) -> None:
        subprocess.run([binaries / command[0], *command[1:]], user=user, check=True, stdout=subprocess.DEVNULL, cwd="/")

    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections={max_connections} -c fsync=off"
    try:
        run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-N")
        run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")
        yield port
    finally:
        if (folder / "data/postmaster.pid").exists():
            run("pg_ctl", "-D", f"{folder}/data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
