"""How a stream behaves: the options that views, ``@event_stream`` and ``EventStreamResponse`` share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from adrf_sse import validators
from adrf_sse.settings import sse_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold a stream's options; made by ``options()``, which checks them and fills in the defaults."""

    heartbeat: float | None
    """Seconds of silence after which a comment is sent; ``None`` sends none."""
    retry: int | None
    """Reconnection delay in milliseconds, sent first; ``None`` leaves it to the client (about 3 s)."""
    first_event_timeout: float
    """Seconds that the headers wait for the first event, so that an error before it can be an HTTP error."""
    max_duration: float | None
    """Seconds after which, give or take 10 %, the stream ends and its client comes back; ``None`` never ends it."""
    send_timeout: float | None
    """Seconds that a client may take nothing of what waits for it, before it is let go; ``None`` waits for ever."""
    finite: bool
    """The stream has an end, after which browsers are told not to come back."""
    error_event: str
    """Name of the event that reports a failure."""


_VALIDATORS: dict[str, validators.Validate] = {
    "heartbeat": validators.or_none(validators.seconds),
    "retry": validators.or_none(validators.milliseconds),
    "first_event_timeout": validators.seconds_or_zero,
    "max_duration": validators.or_none(validators.seconds),
    "send_timeout": validators.or_none(validators.seconds),
    "reauthorize_interval": validators.or_none(validators.seconds),
    "finite": validators.flag,
    "error_event": validators.event_name,
}

OPTION_NAMES = tuple(_VALIDATORS)

STREAM_OPTION_NAMES = tuple(field.name for field in fields(Options))
"""The options that need no view."""


def options(given: Mapping[str, Any]) -> Options:
    """Make options of the given ones and the defaults. Raises ``TypeError`` or ``ValueError`` that names the option."""
    chosen = checked(given)
    if chosen.get("reauthorize_interval") is not None:
        raise TypeError(
            "reauthorize_interval must be an option of a view, whose permissions it checks, got "
            f"{chosen['reauthorize_interval']!r} without one. Set it on an AsyncSSEAPIView, or in @event_stream."
        )
    return _shared(*(chosen[name] if name in chosen else default_of(name) for name in STREAM_OPTION_NAMES))


@lru_cache(maxsize=128)
def _shared(*values: Any) -> Options:
    """Return the one object that all streams with these options hold."""
    return Options(**dict(zip(STREAM_OPTION_NAMES, values, strict=True)))


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options in their normal form, without reading a setting."""
    unknown = sorted(given.keys() - _VALIDATORS)
    if unknown:
        raise TypeError(
            f"options must be among {', '.join(OPTION_NAMES)}, got {', '.join(map(repr, unknown))}. "
            "Remove or rename it."
        )
    return {name: _VALIDATORS[name](name, value) for name, value in given.items()}


def default_of(name: str) -> Any:
    """Return an option's default; what settings can change is read from them each time."""
    match name:
        case "finite":
            return False
        case "reauthorize_interval":
            return None
        case "error_event":
            return "error"
        case _:
            return getattr(sse_settings, name.upper())
