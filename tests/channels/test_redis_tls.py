"""The broker connects to Redis and to Sentinel over TLS, and only if the certificate is for the host."""

import pytest
import trustme

from adrf_sse.channels import apublish, publish, subscribe
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.ports import free_port
from tests.support.redis_server import redis_server

HOST = "localhost"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority's certificate in ``ca.pem``, and that of each host in a file with the host's name."""
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("certificates")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other-ca.pem"))
    for host in (HOST, "redis.example"):
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(folder / f"{host}.pem"))
    return folder


def tls_options(folder, host, port):
    """Return the options of a server that presents the certificate of ``host``."""
    certificate = str(folder / f"{host}.pem")
    return {
        "tls-port": str(port),
        "tls-cert-file": certificate,
        "tls-key-file": certificate,
        "tls-ca-cert-file": str(folder / "ca.pem"),
        "tls-auth-clients": "no",
    }


def serve_tls(folder, host, port):
    arguments = [word for name, value in tls_options(folder, host, port).items() for word in (f"--{name}", value)]
    return redis_server("--save", "", *arguments)


def use_options(settings, **options):
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}}


async def test_a_certificate_for_the_host_is_accepted(settings, certificates):
    port, authority = free_port(), str(certificates / "ca.pem")
    with serve_tls(certificates, HOST, port):
        for options in (
            {"url": f"rediss://{HOST}:{port}/0", "ssl_ca_certs": authority},
            {"url": f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority}"},
        ):
            use_options(settings, **options)
            async with subscribe("news") as events:
                numbers = [publish("news", "x"), await apublish("news", "x")]
                assert [int((await anext(events)).id) for _ in numbers] == numbers


@pytest.mark.parametrize(
    ("host", "authority"), [("redis.example", "ca.pem"), (HOST, "other-ca.pem")], ids=["host", "authority"]
)
async def test_a_certificate_for_another_host_or_of_another_authority_is_refused(
    settings, certificates, host, authority
):
    port = free_port()
    use_options(settings, url=f"rediss://{HOST}:{port}/0", ssl_ca_certs=str(certificates / authority))
    with serve_tls(certificates, host, port) as server:
        for refused in (lambda: publish("news", "x"), None):
            with pytest.raises(BrokerUnavailable, match=r"CERTIFICATE_VERIFY_FAILED.*Give the authority"):
                refused() if refused else await apublish("news", "x")
        assert server.client.keys() == []


async def test_sentinel_kwargs_are_the_options_of_the_connections_to_sentinel(settings, certificates, tmp_path):
    redis_port, sentinel_port, authority = free_port(), free_port(), str(certificates / "ca.pem")
    lines = [f"{name} {value}" for name, value in tls_options(certificates, HOST, sentinel_port).items()]
    tls = {"ssl": True, "ssl_ca_certs": authority}
    with serve_tls(certificates, HOST, redis_port) as server, server.sentinel(tmp_path, "ours", *lines):
        use_options(settings, sentinels=[(HOST, sentinel_port)], service="ours", sentinel_kwargs=tls)
        async with subscribe("news") as events:
            numbers = [publish("news", "x"), await apublish("news", "x")]
            assert [int((await anext(events)).id) for _ in numbers] == numbers
        other = {**tls, "ssl_ca_certs": str(certificates / "other-ca.pem")}
        use_options(settings, sentinels=[(HOST, sentinel_port)], service="ours", sentinel_kwargs=other)
        with pytest.raises(BrokerUnavailable):
            publish("news", "x")
