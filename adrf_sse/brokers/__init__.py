"""Brokers, and the broker of the settings."""

from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from adrf_sse.brokers.base import Broker
from adrf_sse.brokers.outages import forget_calls
from adrf_sse.runtime.loops import after_fork
from adrf_sse.settings import NAME, sse_settings

__all__ = ["Broker", "get_broker"]


@cache
def get_broker() -> Broker:
    """Return the broker of ``ADRF_SSE["BROKER"]``, which the first call creates.

    Raises ``ImproperlyConfigured`` if it can't be created.
    """
    return _create(**sse_settings.BROKER)


def _create(BACKEND: str, OPTIONS: dict[str, Any]) -> Broker:
    try:
        backend: Any = import_string(BACKEND)
    except (ImportError, TypeError, ValueError) as exc:  # The last two are errors of a path with dots in wrong places.
        raise ImproperlyConfigured(
            f"ADRF_SSE['BROKER']['BACKEND'] must be the path of a class, got {BACKEND!r}: {exc}. Correct the path."
        ) from exc
    if not isinstance(backend, type):
        raise ImproperlyConfigured(
            f"ADRF_SSE['BROKER']['BACKEND'] must be the path of a class, got {BACKEND!r}, which is a "
            f"{type(backend).__name__}. Correct the path."
        )
    try:
        broker: Broker = backend(**OPTIONS)
    except TypeError as exc:
        # The message names the options without their values, which may be secret.
        raise ImproperlyConfigured(
            f"ADRF_SSE['BROKER']['OPTIONS'] must be what {backend.__name__} takes, got {', '.join(OPTIONS)}: {exc}. "
            "Correct them."
        ) from exc
    return broker


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        get_broker.cache_clear()
        forget_calls()


after_fork(get_broker.cache_clear)
setting_changed.connect(_forget, dispatch_uid="adrf_sse.brokers")
