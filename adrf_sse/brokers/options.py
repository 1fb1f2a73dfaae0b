"""The options of brokers: ``OPTIONS`` of ``ADRF_SSE["BROKER"]``."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.validators import Validate


def valid_option(validate: Validate, name: str, value: Any) -> Any:
    """Return a valid option of a broker, which is not secret. Raises ``ImproperlyConfigured`` if it is invalid."""
    try:
        return validate(name, value)
    except (TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"ADRF_SSE['BROKER']['OPTIONS'] is invalid: {exc}") from exc
