"""Channel names, and the last event id that a client brings."""

import re
from collections.abc import Iterable
from typing import Any

MAX_CHANNELS = 100
"""Channels that one subscriber may have."""

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,200}")
_NUMBER = re.compile(r"[0-9]{1,16}")


def channel_name(value: Any) -> str:
    """Return a channel's name. Raises ``TypeError`` or ``ValueError`` for what can't be one."""
    if not isinstance(value, str):
        raise TypeError(f"a channel's name must be a str, got {value!r}. Write it as text, such as 'orders.42'.")
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"a channel's name must be 1 to 200 of the characters A-Z a-z 0-9 . _ : -, got {value[:250]!r}. "
            "Leave out or replace the others."
        )
    return value


def channel_names(values: Iterable[Any]) -> frozenset[str]:
    """Return the names of a subscriber's channels, each once."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"channels must be a list of names, got {values!r}. Return a list, such as ['orders.42'].")
    names = frozenset(channel_name(value) for value in values)
    if not 1 <= len(names) <= MAX_CHANNELS:
        raise ValueError(
            f"a subscriber must have 1 to {MAX_CHANNELS} channels, got {len(names)}. "
            "Publish to a channel that several share, or open a second stream."
        )
    return names


def event_number(last_event_id: str | int | None) -> int | None:
    """Return an id as the number that a broker gave, and ``None`` for what no broker gives."""
    if isinstance(last_event_id, bool) or not isinstance(last_event_id, str | int | None):
        raise TypeError(f"last_event_id must be a str, an int or None, got {last_event_id!r}. Pass view.last_event_id.")
    text = str(last_event_id)
    return int(text) if _NUMBER.fullmatch(text) else None
