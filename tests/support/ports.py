"""Free ports for programs that can't inherit a socket."""

import random
import socket
from contextlib import suppress

_random = random.SystemRandom()  # parallel test processes must not choose the same ports


def free_port() -> int:
    """Return a port that is free, and that the system does not assign to outgoing connections."""
    while True:
        port = _random.randrange(10_000, 30_000)  # below the range of ephemeral ports
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
