"""The settings: one dict, ``ADRF_SSE``, checked as a whole and read anew when a test overrides it."""

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
)

NAME = "ADRF_SSE"

_KEYS: dict[str, tuple[Any, Validate]] = {
    "HEARTBEAT": (15.0, or_none(seconds)),
    "RETRY": (None, or_none(milliseconds)),
    "FIRST_EVENT_TIMEOUT": (1.0, seconds_or_zero),
    "MAX_DURATION": (None, or_none(seconds)),
    "SEND_TIMEOUT": (30.0, or_none(seconds)),
    "CLEANUP_TIMEOUT": (5.0, seconds),
    "SHUTDOWN_RETRY_SPREAD": ((1000, 5000), millisecond_range),
    "STREAM_THREADS": (4, count),
    "MAX_SYNC_STREAMS": (64, count),
    "BROKER": ({"BACKEND": "adrf_sse.brokers.memory.MemoryBroker", "OPTIONS": {}}, backend),
    "CHANNEL_HISTORY": (1000, count),
    "CHANNEL_TTL": (86400.0, seconds),
    "MAX_SUBSCRIBER_BACKLOG": (1000, count),
    "MAX_EVENT_SIZE": (1024 * 1024, count),
}


def validated(values: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that ``values`` give, with defaults for the rest, and what is wrong with them."""
    result = {key: default for key, (default, _) in _KEYS.items()}
    if not isinstance(values, Mapping):
        return result, [f"{NAME} must be a dict, got {values!r}. Write {NAME} = {{...}}."]
    problems = []
    for key, value in values.items():
        if key not in _KEYS:
            problems.append(
                f"{NAME} must have only the keys {', '.join(sorted(_KEYS))}, got {key!r}. Remove or rename it."
            )
            continue
        try:
            result[key] = _KEYS[key][1](key, value)
        except (TypeError, ValueError) as exc:
            problems.append(f"{NAME}[{key!r}] is wrong: {exc}")
    return result, problems


def setting_problems() -> list[str]:
    """Return a sentence for each thing that is wrong with ``settings.ADRF_SSE``."""
    return validated(getattr(settings, NAME, {}))[1]


class SSESettings:
    """Read one setting as an attribute: ``sse_settings.HEARTBEAT``.

    Raises ``ImproperlyConfigured`` that lists everything wrong in ``ADRF_SSE``.
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
        """Forget what was read, so that the next access reads anew."""
        self.__dict__.clear()


sse_settings = SSESettings()


def _reload(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        sse_settings.reload()


setting_changed.connect(_reload, dispatch_uid="adrf_sse.settings")
