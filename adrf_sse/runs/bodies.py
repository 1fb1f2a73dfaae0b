"""The events of runs, encoded as they are published."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from adrf_sse.brokers.messages import ChannelEvent, last_body, message_body
from adrf_sse.brokers.runs import Status
from adrf_sse.events.event import END_EVENT, ERROR_EVENT, ServerSentEvent
from adrf_sse.events.fields import JSONEncode
from adrf_sse.events.frames import fields_of
from adrf_sse.exceptions import RunLost
from adrf_sse.settings import sse_settings
from adrf_sse.streams.failures import FormatError, failure_event, failure_frame


class BodyEncoder:
    """Encode any item that the source of a run yields.

    The broker gives the events their IDs, so an event with an ID of its own is an error. Comments and reconnection
    delays are left out: they are for one client at one time.
    """

    def __init__(self, to_json: JSONEncode | None = None) -> None:
        self._to_json = to_json

    def __call__(self, item: Any) -> bytes:
        """Return what is published, or ``b""`` for an item that is not an event with a name or data.

        Raises ``TypeError`` or ``ValueError`` if the item is not a valid event, or too large.
        """
        # The ID of an event of a subscription belongs to another channel.
        found = [(item.event, item.data, None)] if isinstance(item, ChannelEvent) else fields_of(item)
        if len(found) != 1:
            return _nothing(len(found))
        event, data, id = found[0]
        if id is not None:
            raise ValueError(
                f"an event of a run must have no ID, because the broker gives it one, got {id!r}. Omit it."
            )
        if data is None and isinstance(item, ServerSentEvent):
            data = ""  # a name alone
        body = message_body(data, event or None, self._to_json)
        if len(body) > sse_settings.MAX_EVENT_SIZE:
            raise ValueError(
                f"an event must take at most {sse_settings.MAX_EVENT_SIZE} bytes, got {len(body)}. "
                "Yield it in parts, or raise ADRF_SSE['MAX_EVENT_SIZE']."
            )
        return body


def _nothing(events: int) -> bytes:
    """Return what is published for an item that clients would ignore. Raises ``ValueError`` for several events."""
    if events:
        raise ValueError(f"bytes must be one frame in a run, got {events} frames. Yield each of them by itself.")
    return b""


class Endings:
    """Encode the last events of a run: an error event if it has failed or was lost, and its end.

    The end is ``end_event``, or the event ``end`` with the run's status.
    """

    def __init__(
        self,
        encode: BodyEncoder,
        *,
        end_event: Any = None,
        error_event: str = ERROR_EVENT,
        format_error: FormatError | None = None,
        request: HttpRequest | None = None,
    ) -> None:
        self.request = request
        """The request that has started the run, for the log."""
        self._encode = encode
        self._end_event = end_event
        self._error_event = error_event
        self._format_error = format_error

    async def prepared(self) -> Mapping[str, list[bytes]]:
        """Return the last events for each status, which any process may have to publish."""
        return {
            "completed": [self._end("completed")],
            "stopped": [self._end("stopped")],
            "failed": [
                *await self.errors(Exception(), "a run that has failed"),
                self._end("failed"),
            ],
            "lost": [
                *await self.errors(RunLost(), "a run that was lost"),
                self._end("lost"),
            ],
        }

    async def errors(self, error: Exception, source: object) -> list[bytes]:
        """Return what reports an error."""
        event = await failure_frame(self, source, error, self._error_event, self._format_error)
        return [event] if event else []

    def last_frame(self, item: Any) -> bytes:
        """Return the event that reports an error."""
        return b"" if item is None else self._encode(item)

    def _end(self, status: Status) -> bytes:
        return _end_body(self._encode, self._end_event, status)


def _end_body(encode: BodyEncoder, end_event: Any, status: Status) -> bytes:
    """Return the last event of a run: ``end_event``, or the event ``end`` with the run's status."""
    return last_body(encode((END_EVENT, {"status": status}) if end_event is None else end_event))


def lost_events(end_event: Any = None, error_event: str = ERROR_EVENT) -> list[bytes]:
    """Return the last events for the followers of a run that the broker has lost, with the names that a view has."""
    encode = BodyEncoder()
    return [encode(failure_event(RunLost(), error_event)), _end_body(encode, end_event, "lost")]
