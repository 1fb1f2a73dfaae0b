"""The settings: one dict, ``ADRF_SSE``, which is validated as a whole and reloaded when a test overrides it."""

from collections.abc import Mapping
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

_KEYS: dict[str, tuple[Any, Validate]] = {
    "HEARTBEAT": (15.0, or_none(seconds)),
    "RETRY": (None, or_none(milliseconds)),
    "FIRST_EVENT_TIMEOUT": (1.0, seconds_or_zero),
    "MAX_DURATION": (None, or_none(seconds)),
    "SEND_TIMEOUT": (30.0, or_none(seconds)),
    "CLEANUP_TIMEOUT": (5.0, seconds),
    "SHUTDOWN_RETRY_SPREAD": ((1000, 5000), millisecond_range),
    "RECONNECT_RATE": (100, count),
    "STREAM_THREADS": (4, count),
    "MAX_SYNC_STREAMS": (64, count),
    "MAX_STREAMS": (None, or_none(count)),
    "BROKER": ({"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": {}}, backend),
    "CHANNEL_HISTORY": (1000, count),
    "CHANNEL_TTL": (86400.0, seconds),
    "MAX_SUBSCRIBER_BACKLOG": (1000, count),
    "MAX_EVENT_SIZE": (1024 * 1024, count),
    "MAX_RUNS": (100, count),
    "RUN_TTL": (3600.0, seconds),
    "RUN_LEASE": (15.0, seconds),
    "RUN_START_TIMEOUT": (300.0, seconds),
    "RUN_GRACE": (0.0, seconds_or_zero),
    "RUN_MAX_SIZE": (16 * 1024 * 1024, count),
}


def validated(values: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the settings in ``values`` with the defaults of all others, and a message for each problem."""
    result = {key: default for key, (default, _) in _KEYS.items()}
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
            result[key] = _KEYS[key][1](key, value)
        except (TypeError, ValueError) as exc:
            problems.append(f"{NAME}[{key!r}] is invalid: {exc}")
    return result, problems


def setting_check(key: str) -> Validate:
    """Return the check of a setting, which the option of the same meaning shares."""
    return _KEYS[key][1]


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


def _reload(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        sse_settings.reload()


setting_changed.connect(_reload, dispatch_uid="adrf_sse.settings")
