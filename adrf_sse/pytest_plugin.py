"""The pytest plugin, which pytest loads in every project. It imports Django only when a test uses a fixture."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from adrf_sse.testing import EventStreamClient


@pytest.fixture
def event_stream_client() -> "Iterator[EventStreamClient]":
    """Return a client that opens the project's streams in process, in synchronous and asynchronous tests."""
    from adrf_sse.testing import EventStreamClient

    with EventStreamClient() as client:
        yield client
