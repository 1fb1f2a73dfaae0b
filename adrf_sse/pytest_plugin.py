"""The pytest plugin, loaded by its entry point; it imports nothing of Django before a test asks for it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from adrf_sse.testing import EventStreamClient


@pytest.fixture
def event_stream_client() -> "EventStreamClient":
    """A client that opens streams of the project in process."""
    from adrf_sse.testing import EventStreamClient

    return EventStreamClient()
