"""The logger ``adrf_sse``, and the fields of its records."""

import logging
from typing import Any

from django.http import HttpRequest

logger = logging.getLogger("adrf_sse")

UNKNOWN = "unknown"
"""The view name of a stream without a request, or with a request that matched no URL pattern."""


def view_name(request: HttpRequest | None) -> str:
    """Return the name of the URL pattern with its namespaces, or the view's dotted path if the pattern has no name.

    A project has few of these names, however many URLs it has, so metrics can use them as a label.
    """
    match = getattr(request, "resolver_match", None)
    return UNKNOWN if match is None else match.view_name


def about(request: HttpRequest | None, **values: Any) -> dict[str, Any]:
    """Return the ``extra`` of a record: ``request``, as in Django's own records, ``method``, ``path`` and ``view``."""
    return {
        "request": request,
        "method": getattr(request, "method", None),
        "path": getattr(request, "path", None),
        "view": view_name(request),
        **values,
    }


def log(level: int, message: str, request: HttpRequest | None, **values: Any) -> None:
    """Log a message about a stream. ``message`` is formatted with the fields of the record, if the level is enabled."""
    if logger.isEnabledFor(level):
        extra = about(request, **values)
        logger.log(level, message, _escaped(extra), extra=extra, stacklevel=2)


def _escaped(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with control characters escaped, because a line break in a path could forge a log line."""
    return {
        name: value.encode("unicode_escape").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }
