"""Options: the one table of what users can choose for a stream.

View classes inherit the table's attributes. ``@event_stream`` and ``EventStreamResponse`` take the same names as
arguments. ``docs/options.md`` lists them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from inspect import isfunction
from typing import Any, TypedDict

from adrf_sse import validators
from adrf_sse.events.event import ERROR_EVENT
from adrf_sse.events.frames import checked_event
from adrf_sse.settings import setting_check, setting_or_default, sse_settings

Duration = float | timedelta
"""A number, in the unit of the option, or a ``timedelta``."""


class Option:
    """Describe one option: its check, and its default or the setting that holds its default.

    Read as a class attribute, or as an attribute of an instance that has no value of its own, it gives the default.
    """

    name: str

    def __init__(self, check: validators.Validate, *, default: Any = None, setting: str | None = None) -> None:
        self.check = check
        self.setting = setting
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # What inspects a class, as REST framework's routers do, must not fail before a check reports the settings.
        return self.default if instance is not None or self.setting is None else setting_or_default(self.setting)

    @property
    def default(self) -> Any:
        """The default. Raises ``ImproperlyConfigured`` if it is a setting and the settings are invalid."""
        # A setting is read each time, because a test may override it.
        return self._default if self.setting is None else getattr(sse_settings, self.setting)


def _option(check: validators.Validate, default: Any) -> Any:
    return Option(check, default=default)


def _end_event(name: str, value: Any) -> Any:
    return None if value is None else checked_event(name, value)


def _option_with_setting(setting: str) -> Any:
    return Option(setting_check(setting), setting=setting)


class StreamOptions:
    """Declare the options as attributes; the line under each one is its documentation, also in ``docs/options.md``."""

    heartbeat: Duration | None = _option_with_setting("HEARTBEAT")
    """Seconds of silence after which the stream sends a heartbeat. ``None`` sends no heartbeats."""
    retry: int | timedelta | None = _option_with_setting("RETRY")
    """Reconnection delay in milliseconds that the stream sends first. ``None`` leaves the delay to the client."""
    first_event_timeout: Duration = _option_with_setting("FIRST_EVENT_TIMEOUT")
    """Seconds that the server waits for the first event before it sends the headers. An error in this time is an HTTP
    error. ``0`` sends the headers immediately."""
    max_duration: Duration | None = _option_with_setting("MAX_DURATION")
    """Seconds (± 10 %) after which the stream ends and the client reconnects. ``None`` sets no limit."""
    send_timeout: Duration | None = _option_with_setting("SEND_TIMEOUT")
    """Seconds after which the server disconnects a client that has stopped reading. ``None`` waits forever."""
    reauthorize_interval: Duration | None = _option(validators.or_none(validators.seconds), None)
    """Seconds (up to 10 % less) between two checks of authentication and permissions. ``None`` never checks again."""
    finite: bool = _option(validators.flag, False)
    """Whether the stream has an end, after which browsers don't reconnect."""
    end_event: Any = _option(_end_event, None)
    """Event after the last event of a source that completed: anything that a source may yield. ``None`` sends none,
    unless the stream is finite."""
    error_event: str = _option(validators.event_name, ERROR_EVENT)
    """Name of the event that reports an error."""
    compress: bool = _option(validators.flag, False)
    """Whether the stream is compressed for clients that accept it."""


OPTIONS: dict[str, Option] = {name: value for name, value in vars(StreamOptions).items() if isinstance(value, Option)}
"""The options by name, in the order of the documentation."""

_END_EVENT = list(OPTIONS).index("end_event")


class ResponseOptions(TypedDict, total=False):
    """The options as keyword arguments of ``EventStreamResponse``, for type checkers."""

    heartbeat: Duration | None
    retry: int | timedelta | None
    first_event_timeout: Duration
    max_duration: Duration | None
    send_timeout: Duration | None
    finite: bool
    end_event: Any
    error_event: str
    compress: bool


class ViewOptions(ResponseOptions, total=False):
    """The options as keyword arguments of ``@event_stream``, for type checkers."""

    reauthorize_interval: Duration | None


class Options:
    """The value of each option for one stream, made by ``options()``. Immutable, and shared by streams.

    ``retry`` is in milliseconds, and the other durations are in seconds.
    """

    heartbeat: float | None
    retry: int | None
    first_event_timeout: float
    max_duration: float | None
    send_timeout: float | None
    reauthorize_interval: float | None
    finite: bool
    end_event: Any
    error_event: str
    compress: bool

    def __init__(self, values: Mapping[str, Any]) -> None:
        vars(self).update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable, got {name} = {value!r}. Call options() again.")


def options(given: Mapping[str, Any]) -> Options:
    """Return the given options, with defaults for the rest.

    Raises ``TypeError`` or ``ValueError`` that names the option. ``reauthorize_interval`` is an error here, because
    only a view has permissions to check.
    """
    chosen = checked(given)
    if chosen.get("reauthorize_interval") is not None:
        raise TypeError(
            "reauthorize_interval must be an option of a view, whose permissions it checks, got "
            f"{chosen['reauthorize_interval']!r} without one. Set it on an AsyncSSEAPIView, or in @event_stream."
        )
    return _of([chosen.get(name, option.default) for name, option in OPTIONS.items()])


def options_of(view: Any) -> Options:
    """Return the options that a view's attributes give. A view without the mixin may have some of them only.

    Properties are read here, so they can depend on the request. Raises ``TypeError`` or ``ValueError`` like
    ``options()``, and what a property raises.
    """
    if isinstance(view, StreamOptions):
        return _of([getattr(view, name) for name in OPTIONS])
    return _of([getattr(view, name) if has_option(view, name) else option.default for name, option in OPTIONS.items()])


def has_option(view: Any, name: str) -> bool:
    """Return whether a view has an option. Unlike ``hasattr()``, it takes no error of a property for a missing one."""
    return hasattr(type(view), name) or name in getattr(view, "__dict__", ())


def check_attributes(cls: type) -> None:
    """Check the options that are attributes of a class. A property is checked when it is read.

    Raises ``TypeError`` or ``ValueError`` that names the option.
    """
    own = {name: value for name, value in vars(cls).items() if name in OPTIONS}
    for name, value in own.items():
        if isfunction(value):
            raise TypeError(
                f"{name} must be a value or a property, got the method {value.__qualname__}(). "
                "Decorate it with @property."
            )
    checked({name: value for name, value in own.items() if not hasattr(value, "__get__")})
    for name in ("wants_stream", "format_error"):
        value = vars(cls).get(name)
        if value is not None and not hasattr(value, "__get__"):
            raise TypeError(f"{name} must be a method, got {value!r}. Write def {name}(self, …).")


def _of(values: Sequence[Any]) -> Options:
    """Return the options with these values, in the order of the table, after their checks."""
    # Equal values may be different events, such as 1 and True, and a dict has no hash.
    end_event = values[_END_EVENT]
    if end_event is None or type(end_event) in (str, bytes):
        with suppress(TypeError):  # a value of the wrong type may have no hash, too
            return _shared(*values)
    return _new(*values)


def _new(*values: Any) -> Options:
    return Options(checked(dict(zip(OPTIONS, values, strict=True))))


_shared = lru_cache(maxsize=128, typed=True)(_new)
"""Returns the same object for the same values. Saves time with each request, and 0.3 KiB for each idle stream."""


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options in their normal form, without reading a setting."""
    unknown = sorted(given.keys() - OPTIONS)
    if unknown:
        raise TypeError(
            f"options must be among {', '.join(OPTIONS)}, got {', '.join(map(repr, unknown))}. Remove or rename it."
        )
    return {name: OPTIONS[name].check(name, value) for name, value in given.items()}
