"""Tools for testing a project's streams: a client that can disconnect, and a parser that follows the specification."""

from adrf_sse.events.parsers import EventParser
from adrf_sse.testing.client import EventStreamClient
from adrf_sse.testing.stream import StreamEnded, TestStream

__all__ = ["EventParser", "EventStreamClient", "StreamEnded", "TestStream"]
