"""The command: ``python -m benchmarks.soak``."""

import argparse
import asyncio
import secrets
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.soak.run import Soak
from tests.support.postgres_server import cluster
from tests.support.redis_server import redis_server

DESCRIPTION = """\
Let clients of all kinds come and go for some minutes, while Redis, PostgreSQL and a server are killed, paused and
restarted. The exit status is 1 if something grew, or if an event was lost, repeated or out of order.
"""

REDIS = shutil.which("redis-server") or shutil.which("valkey-server")
POSTGRES = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=DESCRIPTION)
    add = parser.add_argument
    flag = argparse.BooleanOptionalAction
    add("--minutes", type=float, default=10, metavar="N", help="run for N minutes (default: 10)")
    add("--seed", default=secrets.token_hex(4), help="choose the same clients and faults as a run with this seed")
    add("--redis", action=flag, default=bool(REDIS), help="follow channels over Redis (default: if it is installed)")
    add("--postgres", action=flag, default=bool(POSTGRES), help="query PostgreSQL (default: if it is installed)")
    return parser.parse_args()


def main() -> int:
    """Run once, and print the verdict."""
    options = arguments()
    print(f"seed {options.seed}", flush=True)
    with ExitStack() as stack:
        durable = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
        redis = stack.enter_context(redis_server(*durable)) if options.redis else None
        postgres = stack.enter_context(cluster(max_connections=60)) if options.postgres else None
        soak = Soak(options.seed, options.minutes * 60, redis, postgres)
        soak.prepare()
        asyncio.run(soak.run())
    for problem in soak.problems:
        print(f"FAILED: {problem}")
    print("failed" if soak.problems else "nothing grew, and nothing was lost, repeated or out of order")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
