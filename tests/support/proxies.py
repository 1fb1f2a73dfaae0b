"""Proxies in front of a server, with the configurations of the documentation."""

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from benchmarks.processes import running
from benchmarks.programs import NGINX_HTTP
from tests.docs.examples import code_blocks
from tests.support.ports import free_port
from tests.support.programs import program

LISTEN = "127.0.0.1"
"""The address on which all proxies listen."""


@dataclass(frozen=True)
class Proxy:
    """A program, and what the test changes in the configuration of its page."""

    program: str
    command: list[str]
    replaced: dict[str, str]
    """Texts of the configuration, and what stands in their place: addresses, files and what only the test needs."""
    timeouts: tuple[str, ...] = ()
    """The settings of the page that end a response that sends nothing."""
    around: Callable[[str], str] = str
    """Return the whole configuration, of which the page shows a part."""


def _inside_of_nginx(server: str) -> str:
    """Return the configuration of an nginx that compresses whatever it may, and keeps its files below its folder."""
    http = f"{NGINX_HTTP} gzip on; gzip_proxied any; gzip_types *;\n{server}"
    return f"daemon off; master_process off; pid nginx.pid; events {{}} http {{ {http} }}"


PROXIES = {
    "nginx": Proxy(
        program="nginx",
        command=["-p", "{folder}", "-c", "configuration", "-e", "stderr"],
        replaced={
            "listen 443": "listen {address}",
            "/etc/ssl/example.com.pem": "{folder}/example.com.pem",
            "/etc/ssl/example.com.key": "{folder}/example.com.pem",
            "/srv/mysite": "{folder}",
        },
        timeouts=("proxy_read_timeout 60s",),
        around=_inside_of_nginx,
    ),
    "haproxy": Proxy(
        program="haproxy",
        command=["-db", "-f", "{folder}/configuration"],
        replaced={
            "bind :443": "bind {address}",
            "/etc/haproxy/example.com.pem": "{folder}/example.com.pem",
            "mode http\n": "mode http\n    compression algo gzip\n",
        },
        timeouts=("timeout client 60s", "timeout server 60s"),
    ),
    "caddy": Proxy(
        program="caddy",
        command=["run", "--config", "{folder}/configuration", "--adapter", "caddyfile"],
        replaced={
            "example.com {\n": "https://localhost:{port} {\n"
            "bind 127.0.0.1\n tls {folder}/example.com.pem {folder}/example.com.pem\n",
        },
        around="{{ admin off\n auto_https disable_redirects\n }}\n{}".format,
    ),
}


@dataclass(frozen=True)
class RunningProxy:
    name: str
    url: str
    verify: ssl.SSLContext
    """What a client must trust."""


@contextmanager
def proxy(name: str, upstream: str, folder: Path, *, timeout: str = "60s") -> Iterator[RunningProxy]:
    """Run a proxy with the configuration of its page in front of a URL.

    Addresses and files are replaced, and ``timeout`` replaces the timeouts of responses. Compression is on. The test is
    skipped if the program is missing, or fails if ``ADRF_SSE_REQUIRE_ALL=1`` is set.
    """
    found = PROXIES[name]
    executable = program(found.program, package=found.program)
    port = free_port()
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "example.com.pem"))
    verify = ssl.create_default_context()
    authority.configure_trust(verify)
    names = {"folder": str(folder), "port": str(port), "address": f"{LISTEN}:{port}"}
    replaced = found.replaced | {"127.0.0.1:8000": upstream.removeprefix("http://")}
    replaced |= {line: line.replace("60s", timeout) for line in found.timeouts}
    configuration = found.around(_replace(documented(name), replaced)).replace("{folder}", names["folder"])
    (folder / "configuration").write_text(_filled(configuration, names))
    command = [executable, *(_filled(argument, names) for argument in found.command)]
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running(command, partial(_accepts, port), signal.SIGKILL, env=environment):
        yield RunningProxy(name, f"https://localhost:{port}", verify)


def documented(name: str) -> str:
    """Return the first configuration of a proxy's page."""
    return next(block.code for block in code_blocks(f"deployment/{name}.md") if block.language == name)


def _replace(configuration: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        assert configuration.count(old) == 1, f"The page must contain {old!r} once:\n{configuration}"
        configuration = configuration.replace(old, new)
    return configuration


def _filled(text: str, names: Mapping[str, str]) -> str:
    """Replace names in braces. Configurations contain other braces."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LISTEN, port), timeout=1):
        return True
    return False
