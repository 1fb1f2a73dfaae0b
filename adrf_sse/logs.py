"""The logger ``adrf_sse``, and what each of its records says of a stream beside its message."""

import logging
from typing import Any

from django.http import HttpRequest

logger = logging.getLogger("adrf_sse")

UNKNOWN = "unknown"
"""The view name of a stream that has no request, or one that no URL pattern has matched."""


def view_name(request: HttpRequest | None) -> str:
    """Return the name of the URL pattern, with its namespaces, that led to a view; where it has none, the view's path.

    It names few things however many URLs there are, so that one may count by it.
    """
    match = getattr(request, "resolver_match", None)
    return UNKNOWN if match is None else match.view_name


def about(request: HttpRequest | None, **values: Any) -> dict[str, Any]:
    """Return the ``extra`` of a record: ``request``, as Django's own have it, its ``method``, ``path`` and ``view``."""
    return {
        "request": request,
        "method": getattr(request, "method", None),
        "path": getattr(request, "path", None),
        "view": view_name(request),
        **values,
    }


def log(level: int, message: str, request: HttpRequest | None, **values: Any) -> None:
    """Log what happens to a stream; ``message`` is filled in from the same values. Costs next to nothing when off."""
    if logger.isEnabledFor(level):
        extra = about(request, **values)
        logger.log(level, message, _escaped(extra), extra=extra, stacklevel=2)


def _escaped(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a message may be filled in with: a path can hold line breaks, and so forge a line of a log."""
    return {
        name: value.encode("unicode_escape").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }
