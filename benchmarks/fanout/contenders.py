"""Who is compared at fan-out."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BASELINE, Contender

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
REDIS = shutil.which("redis-server") or shutil.which("valkey-server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fanout(Contender):
    """Name one way to fan out."""

    redis: bool = False
    """It has a Redis of its own."""
    nginx: bool = False
    """It is nginx, and its events are published to it over HTTP."""

    @property
    def missing(self) -> str | None:
        """The first module or program that is not installed."""
        if self.redis and REDIS is None:
            return "redis-server"
        if self.nginx and (NGINX is None or not NCHAN.exists()):
            return "nginx with nchan (Debian: libnginx-mod-nchan)"
        return Contender.missing.fget(self)  # type: ignore[attr-defined]


FANOUT_CONTENDERS = (
    Fanout(
        name=BASELINE,
        module="fanout_raw",
        note="an `asyncio.Queue` for each subscriber, events encoded once, one `send` for each subscriber and event",
    ),
    Fanout(name="adrf_sse, memory", module="fanout_sse", needs=("adrf_sse",), note="a `ChannelStreamView`"),
    Fanout(
        name="adrf_sse, Redis",
        module="fanout_sse",
        needs=("adrf_sse", "redis"),
        redis=True,
        note="the same view; Redis in a process of its own on loopback, events published by the server's process",
    ),
    Fanout(
        name="django-eventstream",
        module="fanout_eventstream",
        needs=("django_eventstream",),
        note="no storage; what comes while 10 events wait for a subscriber is lost to it",
    ),
    Fanout(
        name="nginx with nchan",
        module="",
        nginx=True,
        note="one worker, written in C; published by a client, one HTTP request for each event, each awaited in the "
        "paced pattern, pipelined in the burst",
    ),
)
