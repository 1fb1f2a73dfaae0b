"""What the connections of all clients have in common."""

import socket
from contextlib import suppress

OPENERS = 64
"""Connections that are opened at the same time."""

PER_ADDRESS = 4000
"""Connections from one loopback address, so that its ports suffice."""


def request(path: str, accept: str = "*/*", cookie: str = "", last_id: str = "") -> bytes:
    """Return the bytes of a request, without the headers that are empty."""
    headers = {"Host": "localhost", "Accept": accept, "Cookie": cookie, "Last-Event-ID": last_id}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def local_address(number: int) -> tuple[str, int] | None:
    """Return the address from which a client's connection of this number is made."""
    return (f"127.0.0.{1 + number // PER_ADDRESS}", 0) if number >= PER_ADDRESS else None


def is_answered(port: int, path: str) -> bool:
    """Tell whether a server answers a request for the path."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        client.sendall(request(path))
        return client.recv(12).endswith(b"200")
    return False
