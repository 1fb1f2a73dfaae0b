"""Compression: the content codings of streams, and the chunks of a stream in one of them (RFC 9110, section 8.4.1).

Each stream has an encoder of its own, so that an event refers to what earlier events have in common with it. The
encoder is flushed after each chunk, so that a client can decode an event as soon as it arrives.
"""

import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from importlib import import_module
from typing import Any, Protocol

# An encoder with these parameters keeps at most 31 KiB; with those of GZipMiddleware, it would keep 260 KiB.
GZIP_LEVEL = 6
GZIP_WINDOW_BITS = 12
"""Size of the window in which zlib searches for repetitions: 4 KiB of earlier events."""
GZIP_MEMORY_LEVEL = 4
ZSTD_PARAMETERS = {"window_log": 10, "hash_log": 9, "chain_log": 6}
"""An encoder with these parameters keeps at most 37 KiB."""

_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


class Encoder(Protocol):
    """Encode the chunks of one stream."""

    def add(self, chunk: bytes) -> bytes:
        """Return what a client needs to decode the chunk, after what was returned before."""
        ...

    def end(self) -> bytes:
        """Return the end of the encoded stream."""
        ...


class GzipEncoder:
    """Encode chunks as one gzip member."""

    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL)

    def add(self, chunk: bytes) -> bytes:
        """Return the encoded chunk."""
        return self._compressor.compress(chunk) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """Return the end of the member, with its checksum."""
        return self._compressor.flush()


class ZstdEncoder:
    """Encode chunks as one frame of Zstandard, with the module of Python 3.14."""

    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        parameters = {getattr(zstd.CompressionParameter, name): value for name, value in ZSTD_PARAMETERS.items()}
        self._compressor = zstd.ZstdCompressor(
            options={zstd.CompressionParameter.strategy: zstd.Strategy.fast, **parameters}
        )

    def add(self, chunk: bytes) -> bytes:
        """Return the encoded chunk."""
        encoded: bytes = self._compressor.compress(chunk, self._compressor.FLUSH_BLOCK)
        return encoded

    def end(self) -> bytes:
        """Return the end of the frame."""
        encoded: bytes = self._compressor.flush(self._compressor.FLUSH_FRAME)
        return encoded


def _zstd() -> Any:
    try:
        return import_module("compression.zstd")
    except ImportError:
        return None


zstd = _zstd()
"""Python's module, or ``None`` before Python 3.14."""

ENCODERS: dict[str, type[GzipEncoder] | type[ZstdEncoder]] = {"gzip": GzipEncoder}
"""The encoders by the name of their coding. Of two that a client likes equally, the first one is used."""
if zstd is not None:
    ENCODERS["zstd"] = ZstdEncoder  # with as little memory, gzip makes events smaller


def negotiated_coding(accept_encoding: str) -> str | None:
    """Return the coding that a client prefers of ``ENCODERS`` (RFC 9110, section 12.5.3), or ``None`` for none.

    A client that sends no ``Accept-Encoding``, or prefers ``identity``, gets the stream as it is.
    """
    weights = _weights(accept_encoding)
    otherwise = weights.get("*", 0.0)
    best = max(ENCODERS, key=lambda coding: weights.get(coding, otherwise))
    weight = weights.get(best, otherwise)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weights(accept_encoding: str) -> dict[str, float]:
    """Return the weight of each coding in the header. A coding whose weight is malformed is not accepted."""
    weights = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        matches = [_WEIGHT.fullmatch(parameter) for parameter in parameters]
        weight = min((float(match[1]) if match else 0.0 for match in matches), default=1.0)
        weights["gzip" if coding == "x-gzip" else coding] = weight
    return weights


class ClosableChunks(Protocol):
    """Chunks that must be closed, also if they were not read."""

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[None]: ...


class CompressedChunks(AsyncIterator[bytes]):
    """Encode the chunks of a stream while they are read. The last chunk is the end of the encoded stream."""

    __slots__ = ("_chunks", "_encoder", "_ended")

    def __init__(self, chunks: ClosableChunks, coding: str) -> None:
        self._chunks = chunks
        self._encoder: Encoder = ENCODERS[coding]()
        self._ended = False

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._ended = True
            await self._chunks.aclose()
            return self._encoder.end()
        return self._encoder.add(chunk)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._chunks.aclose()


def compressed(chunks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """Encode the chunks of a stream, as ``CompressedChunks`` does, for a WSGI server."""
    encoder = ENCODERS[coding]()
    for chunk in chunks:
        yield encoder.add(chunk)
    yield encoder.end()
