"""The programs that contenders need beside or instead of a Python server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.clients.connections import is_answered
from benchmarks.processes import running

REDIS = "redis-server"
NGINX = "nginx with nchan (Debian: libnginx-mod-nchan)"
POSTGRES = "PostgreSQL"

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
DEBIAN = Path("/usr/lib/postgresql")
"""The folder where Debian keeps the programs of PostgreSQL, in folders by version."""

FOUND = {
    REDIS: shutil.which("redis-server") or shutil.which("valkey-server"),
    NGINX: shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") if NCHAN.exists() else None,
    POSTGRES: shutil.which("postgres") or max(map(str, DEBIAN.glob("*/bin/postgres")), default=None),
}
"""Paths of the programs that are installed, by name."""

NGINX_HTTP = """access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;"""
"""What keeps the files of an nginx in the folder of its option ``-p``. It belongs into the block ``http``."""

NGINX_CONF = """
load_module {nchan};
daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 12000; }}
http {{
    {private}
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /ready {{ return 200; }}
        location /publish {{ nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 1000; }}
        location /subscribe {{
            nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


def is_installed(name: str) -> bool:
    """Tell whether a program of this module, or else a Python module, is installed."""
    return bool(FOUND[name] if name in FOUND else find_spec(name))


@contextmanager
def nginx() -> Iterator[tuple[int, int]]:
    """Run nginx with nchan, and yield its process id and port."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="adrf_sse-nginx-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX_CONF.format(nchan=NCHAN, private=NGINX_HTTP, port=port))
        with running([FOUND[NGINX], "-p", folder, "-c", str(config)], partial(is_answered, port, "/ready")) as pid:
            yield pid, port


@contextmanager
def redis() -> Iterator[dict[str, str]]:
    """Run a Redis that keeps nothing on disk, and yield the environment that names it."""
    port = _free_port()
    command = [FOUND[REDIS], "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    with (
        tempfile.TemporaryDirectory(prefix="adrf_sse-redis-") as folder,
        running([*command, "--dir", folder], partial(_accepts, port)),
    ):
        yield {"BENCHMARK_REDIS": f"redis://127.0.0.1:{port}/0"}


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Run a new PostgreSQL with its defaults, and yield the environment that names it and its broker."""
    port = _free_port()
    server = Path(FOUND[POSTGRES]).resolve()
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="adrf_sse-postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        data = os.path.join(folder, "data")
        create = [server.with_name("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        subprocess.run(create, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        command = [server, "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        asking = [server.with_name("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        is_ready = partial(_succeeds, asking)
        broker = {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker"}
        # A server that is killed leaves its shared memory behind.
        with running(command, is_ready, signal.SIGQUIT, user=user, cwd=folder):
            yield {"BENCHMARK_POSTGRES": str(port), "BENCHMARK_ADRF_SSE": json.dumps({"BROKER": broker})}


def _succeeds(command: list[str | Path]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
