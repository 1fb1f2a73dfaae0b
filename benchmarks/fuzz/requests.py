"""Raw requests: mostly HTTP, with something wrong in many of them."""

from random import Random
from urllib.parse import quote

from benchmarks.fuzz.values import any_text, some_bytes, text

Case = tuple[list[bytes], float, float, str]
"""Pieces to send, seconds between them, seconds to read, and how the client leaves."""

METHODS = ["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "get", "TRACE", "FOO", ""]
PATHS = [
    "/async/3",
    "/sync/3",
    "/group/3",
    "/finite/3",
    "/plain/3",
    "/silent",
    "/channels",
    "/async/2000",
    "/sync/200",
    "/",
]
VERSIONS = ["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]
ACCEPTS = [
    "text/event-stream", "*/*", "application/json", "application/jsonl", "application/x-ndjson", "text/html", "",
    "text/event-stream;q=0", "text/*;q=0.5, */*;q=x", "application/json; indent=4", "a", "/", ",,,", ";q=1",
    "text/event-stream; charset=utf-16", "application/json;indent=99999999999999999999",
]  # fmt: skip
NAMES = ["Last-Event-ID", "Accept", "Content-Length", "Transfer-Encoding", "Content-Type", "Cookie", "Connection",
         "Accept-Encoding", "Expect", "Upgrade", "Range", "Origin", "Authorization", "X-Forwarded-For"]  # fmt: skip
VALUES = ["7", "-1", "0", "adrf-sse-end", "chunked", "close", "keep-alive", "gzip", "100-continue", "websocket",
          "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]  # fmt: skip
BODIES = [b"", b"{}", b'{"a": 1}', b"[1,", b"a=1&b=2", b"\xff\xfe", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n"]


def make(random: Random) -> Case:
    """Return a case."""
    body = b"".join(request(random) for _ in range(random.choice([1, 1, 1, 2, 3])))
    if random.random() < 0.2:
        body = body[: random.randrange(len(body) + 1)]
    if random.random() < 0.1:
        place = random.randrange(len(body) + 1)
        body = body[:place] + some_bytes(random) + body[place:]
    leave = random.choice(["close", "half", "reset"])
    return pieces(random, body), random.choice([0, 0, 0.001, 0.005]), random.choice([0, 0.005, 0.02, 0.1]), leave


def pieces(random: Random, body: bytes) -> list[bytes]:
    """Cut a body at a few places."""
    cuts = sorted(random.randrange(len(body) + 1) for _ in range(random.choice([0, 0, 1, 4])))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def request(random: Random) -> bytes:
    """Return one request."""
    line = f"{random.choice(METHODS)} {target(random)} {random.choice(VERSIONS)}\r\nHost: localhost\r\n"
    fields = [f"Accept: {random.choice(ACCEPTS)}"] + [field(random) for _ in range(random.choice([0, 1, 2, 5]))]
    body = random.choice(BODIES)
    if random.random() < 0.5:
        fields.append(f"Content-Length: {len(body)}\r\nContent-Type: application/json")
    return (line + "\r\n".join(fields) + "\r\n\r\n").encode("utf-8", "replace") + body


def target(random: Random) -> str:
    """Return a path with a query."""
    names = ["name", "name", "last_event_id", "format", "a"]
    values = [
        "orders",
        "a.b:c",
        "7",
        "sse",
        "jsonl",
        "json",
        "api",
        quote(any_text(random), errors="replace"),
        text(random),
    ]
    query = "&".join(f"{random.choice(names)}={random.choice(values)}" for _ in range(random.randrange(4)))
    path = random.choice(PATHS) if random.random() < 0.95 else "/" + quote(any_text(random), errors="replace")
    return f"{path}?{query}" if query else path


def field(random: Random) -> str:
    """Return a header field."""
    name = random.choice(NAMES) if random.random() < 0.9 else text(random, 10)
    value = random.choice(VALUES) if random.random() < 0.6 else any_text(random).replace("\n", "")
    return f"{name}: {value}"
