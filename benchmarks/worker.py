"""The server process: ``python -m benchmarks.worker MODULE FD [BACKLOG]`` serves ``benchmarks.apps.MODULE``.

FD is an open socket, and BACKLOG how many connections may wait to be accepted.
"""

import os
import socket
import sys

import uvicorn

from benchmarks.limits import LIFETIME, limit_process


def main(module: str, fd: str, backlog: str = "4096") -> None:
    """Serve with one worker until killed."""
    limit_process()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.apps.settings"
    os.environ["BENCHMARK_APP"] = f"benchmarks.apps.{module}"
    config = uvicorn.Config(
        f"benchmarks.apps.{module}:application",
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=int(backlog),
        timeout_keep_alive=LIFETIME,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(fd))])


if __name__ == "__main__":
    main(*sys.argv[1:])
