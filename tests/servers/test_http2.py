"""Tests of streams over HTTP/2 from the servers that speak it without a proxy."""

import ssl
from contextlib import suppress

import httpx
import pytest
import trustme

from tests.servers.test_servers import ROOT, read_word_by_word
from tests.support.ports import free_port
from tests.support.servers import serve

pytestmark = [pytest.mark.server, pytest.mark.slow]

APPLICATION = "tests.project.asgi:application"
SERVERS = {
    "hypercorn": "-m hypercorn --workers 0 --bind 127.0.0.1:{port} --certfile {certificate} --keyfile {key}",
    "granian": "-m granian --interface asginl --port {port} --ssl-certificate {certificate} --ssl-keyfile {key}",
}
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}
STREAMS = 10
"""More than the six connections that a browser opens."""


@pytest.mark.parametrize("name", SERVERS)
def test_many_streams_share_one_connection(name, gates, tmp_path):
    authority, verify = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(verify)
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "example.com.pem", tmp_path / "example.com.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    port = free_port()
    command = SERVERS[name].format(port=port, certificate=certificate, key=key).split()
    limits = httpx.Limits(max_connections=1)
    with (
        serve([*command, APPLICATION], env=ENVIRONMENT, cwd=ROOT) as server,
        httpx.Client(
            base_url=f"https://localhost:{port}", verify=verify, http2=True, limits=limits, timeout=30
        ) as client,
    ):
        while server.process.poll() is None:
            with suppress(httpx.ConnectError):
                assert client.get("/page/").http_version == "HTTP/2"
                break
        marks = [tmp_path / f"marks-{number}" for number in range(STREAMS)]
        open_streams = [client.send(forever(client, path), stream=True) for path in marks]
        assert {response.status_code for response in open_streams} == {200}
        _, words = read_word_by_word(client, "/view/async/", gates)
        assert words == ["data: one", "data: two", "data: three"]


def forever(client, marks):
    return client.build_request("GET", "/forever/", params={"marks": str(marks)})
