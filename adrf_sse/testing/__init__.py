"""What tests of a project's streams need: a client that can leave, and a parser that follows the specification."""

from adrf_sse.events.parsers import EventParser
from adrf_sse.testing.client import EventStreamClient, StreamEnded, TestStream

__all__ = ["EventParser", "EventStreamClient", "StreamEnded", "TestStream"]
