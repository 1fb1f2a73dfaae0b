"""The programs that contenders need beside or in place of a Python server."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.fanout.contenders import NCHAN, NGINX, REDIS, Fanout
from benchmarks.servers import Server, ServerFailed, running, serving
from benchmarks.streams import PATIENCE

NGINX_CONF = """
load_module {nchan};
daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
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

NOTHING = "/publish/paced/0/0"
"""Asks for nothing to be published."""


@contextmanager
def served(contender: Fanout) -> Iterator[Server]:
    """Run a contender's server, and what it needs."""
    if contender.nginx:
        with nginx() as server:
            yield server
        return
    with (
        redis_server() if contender.redis else nullcontext({}) as environment,
        serving(contender, path=NOTHING, environment=environment) as server,
    ):
        yield server


@contextmanager
def nginx() -> Iterator[Server]:
    """Run nginx with nchan."""
    assert NGINX is not None
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="adrf_sse-nginx-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX_CONF.format(nchan=NCHAN, folder=folder, port=port))
        with running([NGINX, "-p", folder, "-c", str(config)], port, "/ready") as server:
            yield server


@contextmanager
def redis_server() -> Iterator[dict[str, str]]:
    """Run a Redis that keeps nothing on disk, and give the environment that names it."""
    assert REDIS is not None
    port = _free_port()
    command = [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    with tempfile.TemporaryDirectory(prefix="adrf_sse-redis-") as folder:
        process = subprocess.Popen([*command, "--dir", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            _wait_until_it_listens(process, port)
            yield {"BENCHMARK_REDIS": f"redis://127.0.0.1:{port}/0"}
        finally:
            process.kill()
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed("Redis did not start") from None
            time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
