"""The suite ``storms`` of ``benchmarks`` reconnects as a browser does, and fails if an event is missed."""

import asyncio
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from benchmarks.clients import followers
from benchmarks.clients.connections import request
from benchmarks.clients.followers import Followers
from benchmarks.clients.visitors import VISITORS, Visitors
from benchmarks.contenders import ANSWER, PROCESSES, STORMS
from benchmarks.results import Report, Results
from benchmarks.soak.reading import late_pages
from benchmarks.storms.opening import WHOLE
from benchmarks.suites.storms import STORMS_SUITE
from benchmarks.table import markdown

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def results(**figures):
    reports = {contender.name: Report() for contender in STORMS}
    for name, of in figures.items():
        reports[name].figures.update(of)
    return Results(STORMS, STORMS_SUITE.quick, [reports])


@pytest.mark.parametrize("key", ["restart_missed", "restart_repeated", "restart_rejected"])
def test_the_command_fails_if_clients_notice_a_restart(key):
    assert STORMS_SUITE.failures(results(**{PROCESSES: {key: 0}})) == []
    [failure] = STORMS_SUITE.failures(results(**{PROCESSES: {key: 3}}))
    assert failure.startswith(f"{PROCESSES}: 3 ")


def test_the_tables_compare_with_a_json_answer():
    costs = {ANSWER: {"signed_in_cpu": 2.0}, "adrf_sse, async view": {"signed_in_cpu": 3.0}}
    assert "| adrf_sse, async view | — | 3.000 | 1.50 | — |" in markdown(STORMS_SUITE, results(**costs))


@contextmanager
def answering(headers):
    """Run a server that answers every request with the headers and a JSON object, and yield its port."""

    class Handler(StreamRequestHandler):
        def handle(self):
            with suppress(OSError):  # the client has left
                while line := self.rfile.readline():
                    if line == b"\r\n":
                        self.wfile.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\n{}" % headers)

    class Server(ThreadingTCPServer):
        request_queue_size = 2 * VISITORS

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("keep", [True, False])
def test_visitors_read_each_response_to_its_end(keep):
    with answering(b"") as port:
        visits = Visitors(port, request("/"), WHOLE, keep=keep).visit(0)
    assert visits.count == VISITORS


def test_visitors_notice_that_their_session_is_not_accepted():
    with answering(b'set-cookie: sessionid=""\r\n') as port, pytest.raises(ConnectionError, match="whole response"):
        Visitors(port, request("/"), WHOLE, keep=False).visit(0)


async def test_a_follower_connects_again_with_its_last_id_and_notices_what_it_missed(monkeypatch):
    monkeypatch.setattr(followers, "JITTER", 0)
    requests: list[bytes] = []
    bodies = [
        b'retry: 1\nevent: ready\nid: 4\ndata: {}\n\nid: 5\ndata: {"at": 0}\n\n',
        b'event: ready\nid: 5\ndata: {}\n\nid: 7\ndata: {"at": 0}\n\n',
    ]

    async def serve(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD + bodies[len(requests) - 1])
        if len(requests) == len(bodies):
            await reader.read()  # until the client leaves
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        clients = Followers([server.sockets[0].getsockname()[1]], "sessionid=abc")
        ledger = clients.ledger
        for id in range(4, 8):
            ledger.publish("a", id)
        async with clients.following([frozenset(["a"])]):
            assert await late_pages(ledger, 20) == []
    first, second = requests
    assert b"Last-Event-ID" not in first
    assert b"Last-Event-ID: 5\r\n" in second
    assert b"Cookie: sessionid=abc\r\n" in second
    ledger.close()
    assert ledger.counts["lost"] == 1
    assert ledger.examples == ["lost: event 6 of a, between 4 and 7"]
    assert clients.counts == {"failed": 0, "rejected": 0}
