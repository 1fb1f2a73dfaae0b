"""Receivers of the package's signals."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, assert_type

from django.dispatch import receiver

from adrf_sse.signals import Reason, event_received, stream_closed, stream_opened, subscriber_dropped
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.stream import EventStream

reasons: Counter[Reason] = Counter()


@receiver(stream_opened)
def log_opened(sender: type[EventStream], stream: EventStream, **kwargs: Any) -> None:
    print(stream.view_name, len(open_streams), open_streams.by_view()[stream.view_name])
    if stream.request is not None:
        print(stream.request.path)


@receiver(stream_closed)
def count(
    sender: type[EventStream],
    stream: EventStream,
    reason: Reason,
    duration: float,
    events: int,
    bytes: int,
    **kwargs: Any,
) -> None:
    reasons[reason] += 1
    assert_type(stream.events, int)
    assert_type(stream.bytes, int)
    if reason == "disconnected":
        print(duration)


@receiver(event_received)
def observe(sender: object, channel: str, lag: float, **kwargs: Any) -> None:
    print(channel, lag)


def report(sender: object, channels: Iterable[str], **kwargs: Any) -> None:
    print(*channels)


subscriber_dropped.connect(report, dispatch_uid="shop")
