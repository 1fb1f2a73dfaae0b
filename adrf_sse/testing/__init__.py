"""What tests of a project's streams need: a client that can leave, and a parser that follows the specification."""

from adrf_sse.testing.client import EventStreamClient, StreamEnded, TestStream
from adrf_sse.testing.parser import EventParser

__all__ = ["EventParser", "EventStreamClient", "StreamEnded", "TestStream"]
