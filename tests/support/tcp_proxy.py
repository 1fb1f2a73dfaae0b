"""A TCP proxy that loses replies, or hangs."""

import asyncio
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forward connections to a port of this machine, and drop replies when it is told to."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.dropped = 0
        """Replies that were dropped."""
        self._target = target
        self._lose = b""
        self._times = 0
        self._skip = 0
        self._handlers: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._hanging: list[asyncio.Event] = []
        self._flowing = asyncio.Event()
        self._flowing.set()

    def hang(self) -> None:
        """Forward nothing more over the connections that are open now. They stay open; new ones work."""
        self._flowing.clear()
        self._hanging.append(self._flowing)
        self._flowing = asyncio.Event()
        self._flowing.set()

    def lose_reply_to(self, text: bytes, times: int = 1, skip: int = 0) -> None:
        """Close the connection in place of the reply to the next requests that contain a text, after some of them."""
        self._lose, self._times, self._skip = text, times, skip

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._writers.append(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.append(back)
            lost = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, back, lost, is_request=True))
                group.create_task(self._forward(there, writer, lost, is_request=False))
        finally:
            writer.close()
            self._handlers.discard(task)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, *, is_request: bool
    ) -> None:
        flowing = self._flowing
        with suppress(OSError):
            while data := await reader.read(2**20):
                await flowing.wait()
                if is_request and self._times and self._lose in data:
                    if self._skip:
                        self._skip -= 1
                    else:
                        self._times -= 1
                        lost.set()
                if not is_request and lost.is_set():
                    self.dropped += 1
                    break
                writer.write(data)
                await writer.drain()
        writer.close()  # then the other direction ends

    async def aclose(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.transport.abort()
        for flowing in self._hanging:
            flowing.set()
        await asyncio.gather(*self._handlers)


@asynccontextmanager
async def tcp_proxy(target: int):
    """Run a proxy in front of a port."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
