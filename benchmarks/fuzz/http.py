"""Requests: random bytes, in random pieces, to a live server, which must stay up and leave no stream open."""

import asyncio
import socket
import struct
import time
from contextlib import suppress
from random import Random

from benchmarks.fuzz import requests
from benchmarks.fuzz.kinds import Failure, Kind, Outcome, Wrong, expect, random_of, shrink
from benchmarks.live_servers import LiveServer, wait_for

CONCURRENT = 16
"""Connections at a time."""

BATCH = 200
"""Cases after which the server is examined."""

PATIENCE = 20
"""Seconds in which a connection must be made, and the streams of clients that have left must end."""

SHRINK_SECONDS = 60
"""Seconds in which smaller forms of a failing case are tried: after each that fails, the server starts again."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send RST in place of FIN."""

Case = requests.Case


class Target:
    """Run the server that receives the cases, and replace it after a failure."""

    def __init__(self) -> None:
        self._server: LiveServer | None = None

    @property
    def server(self) -> LiveServer:
        """The running server."""
        if self._server is None:
            self._server = LiveServer("every_source", {"BENCHMARK_LIFETIME": "7200"})
            self._server.start()
        return self._server

    def close(self) -> None:
        """End the server; the next use starts another one."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def send(self, cases: list[Case]) -> None:
        """Send cases at the same time, and examine the server afterwards. A server that failed is replaced."""
        try:
            port = self.server.port
            asyncio.run(send_all(port, cases))
            self._examine()
        except Exception:
            self.close()
            raise

    def _examine(self) -> None:
        server = self.server
        expect(server.is_up, "the server has ended:", server.output()[-2000:])
        expect(wait_for(server.is_idle, PATIENCE), "streams stay open, or signals differ:", server.figures())
        found = server.tracebacks()
        expect(not found, "the server logged a traceback:\n", *found[:1])


target = Target()


async def send_all(port: int, cases: list[Case]) -> None:
    """Send cases, some at a time."""
    gate = asyncio.Semaphore(CONCURRENT)

    async def send(case: Case) -> None:
        async with gate:
            await exchange(port, case)

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(send(case))


async def exchange(port: int, case: Case) -> None:
    """Send one case, and check the responses."""
    pieces, pause, read, leave = case
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        if leave == "half" and writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(read):
            while read and (data := await reader.read(1 << 16)):
                received += data
    except (OSError, TimeoutError):
        pass
    finally:
        close(writer, leave)
    for line in received.split(b"\r\n"):
        expect(not line.startswith(b"HTTP/1.1 5") or b" 503 " in line, "the server answered:", line)


def close(writer: asyncio.StreamWriter, leave: str) -> None:
    """Close a connection, without a FIN if the client vanishes."""
    if leave == "reset":
        with suppress(OSError):  # The server may have closed it.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
    else:
        writer.close()


def make(random: Random) -> Case:
    """Return a case."""
    return requests.make(random)


def check(case: Case) -> None:
    """Check that the server survives a case alone."""
    target.send([case])


KIND = Kind("http", 0.01, make, check)


def run(kind: Kind, seed: str, numbers: range) -> Outcome:
    """Run the cases in batches. The cases of a batch that failed are repeated one by one."""
    outcome, began = Outcome(kind.name), time.perf_counter()
    try:
        for start in range(numbers.start, numbers.stop, BATCH):
            batch = range(start, min(start + BATCH, numbers.stop))
            cases = [make(random_of(seed, kind.name, number)) for number in batch]
            outcome.cases += len(cases)
            try:
                target.send(cases)
            except Exception as exc:
                print(f"A case from {batch.start} to {batch.stop - 1} failed, and is searched for: {exc}", flush=True)
                outcome.add(_culprit(kind, batch, cases, exc))
                break
    finally:
        target.close()
    outcome.seconds = time.perf_counter() - began
    return outcome


def _culprit(kind: Kind, batch: range, cases: list[Case], error: Exception) -> Failure:
    for number, case in zip(batch, cases, strict=True):
        try:
            target.send([case])
        except Exception as exc:
            failure = Failure(number, case, exc)
            shrink(kind, failure, SHRINK_SECONDS)
            return failure
    together = Wrong(f"none of the cases {batch.start} to {batch.stop - 1} alone, but all together: {error}")
    together.__cause__ = error
    return Failure(batch.start, cases[0], together)
