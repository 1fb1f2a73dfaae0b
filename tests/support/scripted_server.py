"""A real uvicorn in the test's own event loop, which leaves every response to the test."""

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

import adrf_sse

STATIC = Path(adrf_sse.__file__).parent / "static"
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
PAGE = b'<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Page</title></html>'


class Exchange:
    """A request, and its response, which the test sends piece by piece."""

    def __init__(self, scope: Any, body: bytes, send: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode(): value for name, value in scope["headers"]}
        self.body = body
        self.disconnected = asyncio.Event()
        self.done = asyncio.Event()
        self._send = send

    async def start(self, status: int = 200, headers: dict[str, str] = STREAM) -> None:
        """Send the status and the headers."""
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, chunk: bytes | str) -> None:
        """Send a part of the body."""
        chunk = chunk.encode() if isinstance(chunk, str) else chunk
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def stream(self, chunk: bytes | str = b"") -> None:
        """Start an event stream."""
        await self.start()
        await self.send(chunk)

    async def end(self) -> None:
        """End the response."""
        await self._send({"type": "http.response.body"})
        self.done.set()

    async def respond(self, status: int, data: Any = None, **headers: str) -> None:
        """Respond with JSON, or without a body."""
        body = b"" if data is None else json.dumps(data).encode()
        length = {} if status == 204 else {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await self.start(status, length | {name.replace("_", "-"): value for name, value in headers.items()})
        await self.send(body)
        await self.end()

    def drop(self) -> None:
        """Close the connection before the response is complete."""
        self.done.set()


class ScriptedServer:
    """Serve the package's static files and an empty page at ``/page/``; every other request waits for the test."""

    def __init__(self) -> None:
        self.url = ""
        self._requests: defaultdict[str, asyncio.Queue[Exchange]] = defaultdict(asyncio.Queue)
        self._exchanges: set[Exchange] = set()

    async def request(self, path: str) -> Exchange:
        """Wait for the next request of ``path``."""
        return await self._requests[path].get()

    def waiting(self, path: str) -> int:
        """Return how many requests of ``path`` no test has taken yet."""
        return self._requests[path].qsize()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        exchange = Exchange(scope, body, send)
        if exchange.path == "/page/":
            return await self._file(exchange, PAGE, "text/html")
        if exchange.path.startswith("/static/"):
            content = (STATIC / exchange.path.removeprefix("/static/")).read_bytes()
            return await self._file(exchange, content, "text/javascript")
        self._exchanges.add(exchange)
        self._requests[exchange.path].put_nowait(exchange)
        await self._finish(exchange, receive)

    async def _file(self, exchange: Exchange, content: bytes, media_type: str) -> None:
        await exchange.start(200, {"Content-Type": media_type, "Content-Length": str(len(content))})
        await exchange.send(content)
        await exchange.end()

    async def _finish(self, exchange: Exchange, receive: Any) -> None:
        disconnect = asyncio.ensure_future(receive())
        done = asyncio.ensure_future(exchange.done.wait())
        await asyncio.wait([disconnect, done], return_when=asyncio.FIRST_COMPLETED)
        if disconnect.done():
            exchange.disconnected.set()
        for future in (disconnect, done):
            future.cancel()
        self._exchanges.discard(exchange)

    def drop_all(self) -> None:
        """Drop all connections whose response is not complete."""
        for exchange in self._exchanges:
            exchange.drop()


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Run the server on a free port."""
    app = ScriptedServer()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        app.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield app
        finally:
            app.drop_all()
            server.should_exit = True
            await serving
