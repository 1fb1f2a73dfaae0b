"""The client that makes a server publish events."""

import time
from http.client import HTTPConnection

from benchmarks.apps.publishing import PAUSES
from benchmarks.programs import NGINX
from benchmarks.servers import Server

TIMEOUT = 60
"""Seconds that a request may take."""


class Publisher:
    """Make a server publish series of events."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        self._connection.connect()
        self.publish = self._post if NGINX in server.contender.needs else self._request
        """Publishes events, and returns when the server has accepted them."""

    def get(self, path: str) -> bytes:
        """Return the body of a server's answer."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} was answered with {response.status}")
        return body

    def _request(self, pattern: str, events: int, series: int) -> None:
        self.get(f"/publish/{pattern}/{events}/{series}")

    def _post(self, pattern: str, events: int, series: int) -> None:
        connection, answers = self._connection.sock, b""
        for number in range(events):
            body = b'{"series":%d,"price":101.25,"n":%d,"at":%d}' % (series, number, time.monotonic_ns())
            connection.sendall(
                b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            expected = number + 1 if pattern in PAUSES or number == events - 1 else 0
            while answers.count(b"HTTP/1.1 20") < expected:
                answers += connection.recv(1 << 16)
            time.sleep(PAUSES.get(pattern, 0))
