"""What the followers of channels notice while two server processes are restarted one after the other."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from statistics import quantiles
from typing import Protocol

from benchmarks.apps.sessions import COOKIE
from benchmarks.clients.followers import Followers
from benchmarks.live_servers import LiveServer
from benchmarks.processes import child
from benchmarks.programs import redis
from benchmarks.results import Figures
from benchmarks.servers import Server, sessions
from benchmarks.soak.publisher import publish_events
from benchmarks.soak.reading import late_pages, read_published

CHANNELS = [f"storms.{number}" for number in range(60)]

PAUSE = 0.2
"""Seconds between two events or bursts, at most."""

FOLLOWED = 2
"""Channels that each client follows."""

PATIENCE = 60
"""Seconds in which all clients must be back, and in which each must receive the last event."""

SEED = "storms"


class Sizes(Protocol):
    """Name the size that the measure needs."""

    followers: int
    """Signed-in clients that follow channels."""


async def restart(server: Server, sizes: Sizes) -> Figures:
    """Events that clients miss or receive twice, seconds until all are back, and the delay of events meanwhile."""
    gc.disable()
    random = Random(SEED)
    choices = [frozenset(random.sample(CHANNELS, FOLLOWED)) for _ in range(sizes.followers)]
    with _servers(server.contender.module) as servers, child(publish_events, SEED, CHANNELS, PAUSE) as pipe:
        await asyncio.gather(*(asyncio.to_thread(one.start) for one in servers))
        followers = Followers([one.port for one in servers], COOKIE)
        reading = asyncio.create_task(read_published(pipe, followers.ledger))
        async with followers.following(choices):
            followers.delays.clear()
            seconds = [await _restarted(one, followers) for one in servers]
            centiles = quantiles(followers.delays, n=100)
            pipe.send(None)
            await reading
            if late := await late_pages(followers.ledger, PATIENCE):
                raise TimeoutError(f"{len(late)} clients did not receive the last event of their channels")
    return {
        **_checked(followers),
        "restart_first": seconds[0],
        "restart_second": seconds[1],
        "restart_p50": centiles[49] / 1e6,
        "restart_p99": centiles[98] / 1e6,
    }


@contextmanager
def _servers(module: str) -> Iterator[list[LiveServer]]:
    """Run Redis, and yield two servers that are not started yet."""
    with ExitStack() as stack:
        environment = {**stack.enter_context(redis()), **stack.enter_context(sessions())}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings", **environment}  # for the publisher
        servers = [LiveServer(module, environment) for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
        yield servers


async def _restarted(server: LiveServer, followers: Followers) -> float:
    """Restart a server, and return the seconds until each client has an open stream again."""
    began = time.monotonic_ns()
    await asyncio.to_thread(server.terminate)
    await asyncio.to_thread(server.start)
    await followers.wait_until_open(PATIENCE)
    return (followers.last_opened - began) / 1e9


def _checked(followers: Followers) -> Figures:
    """Return what went wrong, and print examples."""
    ledger = followers.ledger
    ledger.close()
    print(*ledger.examples, sep="\n", end="\n" if ledger.examples else "", file=sys.stderr)
    return {
        "restart_delivered": ledger.counts["delivered"],
        "restart_missed": ledger.counts["lost"] + ledger.counts["resets"],
        "restart_repeated": ledger.counts["repeated"] + ledger.counts["out of order"],
        **{f"restart_{what}": count for what, count in followers.counts.items()},
    }
