"""How a stream behaves: the options that views, ``@event_stream`` and ``EventStreamResponse`` share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from adrf_sse import validators
from adrf_sse.settings import sse_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold a stream's options, checked when they are made; ``options()`` fills in the defaults."""

    heartbeat: float | None
    """Seconds of silence after which a comment is sent; ``None`` sends none."""
    retry: int | None
    """Reconnection delay in milliseconds, sent first; ``None`` leaves it to the client (about 3 s)."""
    first_event_timeout: float
    """Seconds that the headers wait for the first event, so that an error before it can be an HTTP error."""
    finite: bool
    """The stream has an end, after which browsers are told not to come back."""
    error_event: str
    """Name of the event that reports a failure."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.heartbeat is not None:
            put(self, "heartbeat", validators.seconds("heartbeat", self.heartbeat))
        if self.retry is not None:
            put(self, "retry", validators.milliseconds("retry", self.retry))
        put(
            self,
            "first_event_timeout",
            validators.seconds("first_event_timeout", self.first_event_timeout, zero=True),
        )
        validators.flag("finite", self.finite)
        validators.event_name("error_event", self.error_event)


OPTION_NAMES = tuple(field.name for field in fields(Options))


def default_of(name: str) -> Any:
    """Return an option's default; what settings can change is read from them each time."""
    match name:
        case "finite":
            return False
        case "error_event":
            return "error"
        case _:
            return getattr(sse_settings, name.upper())


def options(given: Mapping[str, Any]) -> Options:
    """Make options of the given ones and the defaults. Raises ``TypeError`` or ``ValueError`` that names the option."""
    check_names(given)
    return Options(**{name: given[name] if name in given else default_of(name) for name in OPTION_NAMES})


def check_names(given: Mapping[str, Any]) -> None:
    """Refuse what is not an option."""
    unknown = given.keys() - OPTION_NAMES
    if unknown:
        raise TypeError(
            f"options must be among {', '.join(OPTION_NAMES)}, got {', '.join(map(repr, sorted(unknown)))}. "
            "Remove or rename it."
        )
