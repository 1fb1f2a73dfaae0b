"""Ports for programs that can't be handed a socket."""

import random
import socket
from contextlib import suppress

_random = random.SystemRandom()  # processes that test beside this one shall not draw the same


def free_port() -> int:
    """Return a port that nothing listens at, and that no connection is given by chance while nothing does."""
    while True:
        port = _random.randrange(10_000, 30_000)  # below those that the system gives connections
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
