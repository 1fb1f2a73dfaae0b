"""A channel: its name, and publishing to it."""

import re
from collections.abc import Iterable
from typing import Any

from adrf_sse.brokers import get_broker
from adrf_sse.brokers.messages import message_body
from adrf_sse.brokers.outages import outage_of_calls
from adrf_sse.brokers.runs import CHANNEL_PREFIX
from adrf_sse.events.event import ServerSentEvent
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.settings import sse_settings
from adrf_sse.validators import shown

MAX_CHANNELS = 100
"""Channels of one subscriber at most."""

CONTROL_CHANNEL = "adrf-sse.control"
"""The channel through which processes tell each other which streams to end."""

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,200}")

_publishing = outage_of_calls("publishing")
_asking = outage_of_calls("asking for the current event ID")


def publish(channel: str, data: Any, *, event: str | None = None, skip_user: Any = None) -> int | None:
    """Publish an event from any code, and return its ID.

    A ``str`` is sent as text, any other data as JSON. The streams of ``skip_user``, a user or a user's primary key, do
    not receive the event.

    With ``PostgresBroker``, an event that is published in a transaction becomes part of it: it is delivered when the
    transaction commits. Its ID is assigned then, so this returns ``None``. With other brokers, publish what a
    transaction saves with ``transaction.on_commit(lambda: publish(…))``.

    Raises ``TypeError`` or ``ValueError`` for a bad name, or for data that can't be encoded, and ``BrokerUnavailable``.
    """
    name, body = _message(channel, data, event, user_key(skip_user))
    # Not "with _publishing", which takes 5 % of the time of publishing in memory.
    try:
        number = get_broker().publish(name, body)
    except BrokerUnavailable as exc:
        _publishing.failed(exc)
        raise
    if _publishing.failures:
        _publishing.succeeded()
    return number


async def apublish(channel: str, data: Any, *, event: str | None = None, skip_user: Any = None) -> int | None:
    """Publish an event from asynchronous code, as ``publish()`` does."""
    name, body = _message(channel, data, event, user_key(skip_user))
    try:
        number = await get_broker().apublish(name, body)
    except BrokerUnavailable as exc:
        _publishing.failed(exc)
        raise
    if _publishing.failures:
        _publishing.succeeded()
    return number


def current_event_id() -> int:
    """Return the ID where a stream that begins now would begin.

    Get it before you read the state that a page shows, and let the page open its stream with ``?last_event_id=``: then
    the stream continues where the state ends. Raises ``BrokerUnavailable``.
    """
    with _asking:
        return get_broker().position()


async def acurrent_event_id() -> int:
    """Return the ID where a stream that begins now would begin, as ``current_event_id()`` does."""
    with _asking:
        return await get_broker().aposition()


def user_key(user: Any) -> str | None:
    """Return what identifies a user, given as an object or as a primary key; ``None`` for an anonymous user."""
    key = getattr(user, "pk", user)
    return None if key is None or getattr(user, "is_anonymous", False) else str(key)


def _message(channel: str, data: Any, event: str | None, skip_user: str | None) -> tuple[str, bytes]:
    name = channel_name(channel)
    if isinstance(data, ServerSentEvent | bytes):
        raise TypeError(
            f"data must be text or JSON, and its event's name apart from it, got a {type(data).__name__}. "
            "Write publish(channel, data, event=name); the broker gives the id."
        )
    body = message_body(data, event, skip_user=skip_user)
    if len(body) > sse_settings.MAX_EVENT_SIZE:
        raise ValueError(
            f"an event must take at most {sse_settings.MAX_EVENT_SIZE} bytes, got {len(body)}. "
            "Publish where to fetch it instead, or raise ADRF_SSE['MAX_EVENT_SIZE']."
        )
    return name, body


def channel_name(value: Any, *, of_run: bool = False) -> str:
    """Return a channel's name. Raises ``TypeError`` or ``ValueError`` if the value is not a valid name.

    Only with ``of_run``, it may be the name of a run's channel, to which other code may neither publish nor subscribe.
    """
    if not isinstance(value, str):
        raise TypeError(f"a channel's name must be a str, got {shown(value)}. Write it as text, such as 'orders.42'.")
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"a channel's name must be 1 to 200 of the characters A-Z a-z 0-9 . _ : -, got {value[:250]!r}. "
            "Leave out or replace the others."
        )
    if not of_run and value.startswith(CHANNEL_PREFIX):
        raise ValueError(
            f"a channel's name must not begin with {CHANNEL_PREFIX!r}, as the channels of runs do, got {value!r}. "
            "Follow a run with follow() or a RunView, which checks who owns it."
        )
    return value


def channel_names(values: Iterable[Any]) -> frozenset[str]:
    """Return the names of a subscriber's channels, each once."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"channels must be a list of names, got {shown(values)}. Return a list, such as ['orders.42'].")
    names = frozenset(channel_name(value) for value in values)
    if not 1 <= len(names) <= MAX_CHANNELS:
        raise ValueError(
            f"a subscriber must have 1 to {MAX_CHANNELS} channels, got {len(names)}. "
            "Publish to a channel that several share, or open a second stream."
        )
    return names
