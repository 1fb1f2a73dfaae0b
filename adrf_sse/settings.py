"""The settings: one dict, ``ADRF_SSE``, which is validated as a whole and reloaded when a test overrides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from adrf_sse.validators import (
    Validate,
    backend,
    count,
    millisecond_range,
    milliseconds,
    or_none,
    seconds,
    seconds_or_zero,
    shown,
)

NAME = "ADRF_SSE"
"""The name of the setting."""


@dataclass(frozen=True)
class Setting:
    """The default of a key and its check, which returns the value in its canonical form."""

    default: Any
    check: Validate


class Settings:
    """Declare the keys as attributes; the line under each one is its documentation, also in ``docs/settings.md``."""

    HEARTBEAT = Setting(15.0, or_none(seconds))
    """Default of the option ``heartbeat``, in seconds. ``None`` sends no heartbeats."""
    RETRY = Setting(None, or_none(milliseconds))
    """Default of the option ``retry``, in milliseconds. ``None`` leaves the delay to the client."""
    FIRST_EVENT_TIMEOUT = Setting(1.0, seconds_or_zero)
    """Default of the option ``first_event_timeout``, in seconds. ``0`` sends the headers immediately."""
    MAX_DURATION = Setting(None, or_none(seconds))
    """Default of the option ``max_duration``, in seconds. ``None`` sets no limit."""
    SEND_TIMEOUT = Setting(30.0, or_none(seconds))
    """Default of the option ``send_timeout``, in seconds. ``None`` waits forever."""
    CLEANUP_TIMEOUT = Setting(5.0, seconds)
    """Seconds that a source may take to stop when its stream ends. After that, the source is cancelled a second time
    and abandoned, and a log record names it. When the server shuts down, a source has at most 1 s, see Deployment."""
    SHUTDOWN_RETRY_SPREAD = Setting((1000, 5000), millisecond_range)
    """Shortest and longest reconnection delay, in milliseconds. Each stream sends a random delay between the two when
    the server shuts down; with many streams, the longest delay is longer."""
    RECONNECT_RATE = Setting(100, count)
    """Number of clients of each process that return in a second on average after a shutdown, see Limits."""
    STREAM_THREADS = Setting(4, count)
    """Number of threads in each process that the ORM calls of all open streams share. Each thread has its own database
    connections. Reauthorization uses as many threads of its own, if an option asks for it."""
    MAX_SYNC_STREAMS = Setting(64, count)
    """Number of synchronous sources that may run at the same time in each process. Further streams get a 503 response
    with ``Retry-After``."""
    MAX_STREAMS = Setting(None, or_none(count))
    """Number of streams that each process may have open. Further streams get a 503 response with ``Retry-After``, see
    Limits. ``None`` sets no limit."""
    BROKER = Setting({"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": {}}, backend)
    """Broker of the channels: ``{"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker"}`` or ``{"BACKEND":
    "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": …}}``. ``BACKEND`` can name a class of your own."""
    CHANNEL_HISTORY = Setting(1000, count)
    """Number of events that the broker keeps for each channel, for clients that reconnect."""
    CHANNEL_TTL = Setting(86400.0, seconds)
    """Seconds for which the broker keeps an event."""
    MAX_SUBSCRIBER_BACKLOG = Setting(1000, count)
    """Number of events that may wait for one subscriber. A client that is further behind is disconnected and has to
    reconnect."""
    MAX_EVENT_SIZE = Setting(1024 * 1024, count)
    """Size of the largest frame that ``publish()`` accepts, and of the largest event of a run, in bytes."""
    MAX_RUNS = Setting(100, count)
    """Number of runs that each process may produce at the same time. Further ones get a 503 response with
    ``Retry-After``."""
    RUN_TTL = Setting(3600.0, seconds)
    """Seconds for which a run is kept after its end."""
    RUN_LEASE = Setting(15.0, seconds)
    """Seconds after which a run is ``lost`` if whatever produces it doesn't renew its lease. It does so three times in
    this period. A shorter lease reports dead runs sooner, and survives shorter outages of the broker."""
    RUN_START_TIMEOUT = Setting(300.0, seconds)
    """Seconds within which a task queue must begin a queued run. After that, the run is ``lost``."""
    RUN_GRACE = Setting(0.0, seconds_or_zero)
    """Seconds for which the runs of a process may go on when the server shuts down."""
    RUN_MAX_SIZE = Setting(16 * 1024 * 1024, count)
    """Size of all events of a run, in bytes. A run that yields more fails."""


_KEYS: dict[str, Setting] = {name: value for name, value in vars(Settings).items() if isinstance(value, Setting)}


def validated(values: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the settings in ``values`` with the defaults of all others, and a message for each problem."""
    result = {key: setting.default for key, setting in _KEYS.items()}
    if not isinstance(values, Mapping):
        return result, [f"{NAME} must be a dict, got {shown(values)}. Write {NAME} = {{...}}."]
    problems = []
    for key, value in values.items():
        if key not in _KEYS:
            problems.append(
                f"{NAME} must have only the keys {', '.join(sorted(_KEYS))}, got {shown(key)}. Remove or rename it."
            )
            continue
        try:
            result[key] = _KEYS[key].check(key, value)
        except (TypeError, ValueError) as exc:
            problems.append(f"{NAME}[{key!r}] is invalid: {exc}")
    return result, problems


def setting_check(key: str) -> Validate:
    """Return the check of a setting, which the option of the same meaning shares."""
    return _KEYS[key].check


def setting_problems() -> list[str]:
    """Return a message for each problem in ``settings.ADRF_SSE``."""
    return validated(getattr(settings, NAME, {}))[1]


class SSESettings:
    """Provide each setting as an attribute: ``sse_settings.HEARTBEAT``.

    Raises ``ImproperlyConfigured`` with all problems in ``ADRF_SSE`` if there are any.
    """

    def __getattr__(self, key: str) -> Any:
        if key not in _KEYS:
            raise AttributeError(f"{NAME} has no key {key!r}. The keys are {', '.join(sorted(_KEYS))}.")
        values, problems = validated(getattr(settings, NAME, {}))
        if problems:
            raise ImproperlyConfigured(" ".join(problems))
        self.__dict__.update(values)
        return values[key]

    def reload(self) -> None:
        """Discard the loaded values, so that the next access loads them again."""
        self.__dict__.clear()


sse_settings = SSESettings()


def setting_or_default(key: str) -> Any:
    """Return a setting, or its default if the settings are invalid, which a check reports."""
    try:
        return getattr(sse_settings, key)
    except ImproperlyConfigured:
        return _KEYS[key].default


def _reload(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        sse_settings.reload()


setting_changed.connect(_reload, dispatch_uid="adrf_sse.settings")
