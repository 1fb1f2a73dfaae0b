"""Free ports for programs that can't inherit a socket, and a server that refuses everybody."""

import random
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

_random = random.SystemRandom()  # parallel test processes must not choose the same ports


def free_port() -> int:
    """Return a port that is free, and that the system does not assign to outgoing connections."""
    while True:
        port = _random.randrange(10_000, 30_000)  # below the range of ephemeral ports
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def refusing_server(port: int) -> "Iterator[SimpleQueue[str]]":
    """Listen on a port, close each connection at once, and yield a queue of the attempts."""
    attempts: SimpleQueue[str] = SimpleQueue()

    class RefusingHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            attempts.put("connected")

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", port), RefusingHandler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield attempts
        finally:
            server.shutdown()
            thread.join()
