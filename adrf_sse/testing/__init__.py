"""Tools for testing a project's streams: a client that can disconnect, and a parser that follows the specification."""

from adrf_sse.events.parsers import EventParser
from adrf_sse.testing.client import EventStreamClient
from adrf_sse.testing.pending import PendingStream
from adrf_sse.testing.stream import StreamEnded, TestStream
from adrf_sse.testing.sync_stream import SyncTestStream

__all__ = ["EventParser", "EventStreamClient", "PendingStream", "StreamEnded", "SyncTestStream", "TestStream"]
