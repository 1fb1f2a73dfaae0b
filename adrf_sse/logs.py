"""The logger ``adrf_sse``, and the fields of its records."""

import logging
import re
from typing import Any

from django.http import HttpRequest

logger = logging.getLogger("adrf_sse")

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line and paragraph separators, and lone surrogates, which a handler can't write as UTF-8."""

UNKNOWN = "unknown"
"""The view name of a stream without a request, or with a request that matched no URL pattern."""


def view_name(request: HttpRequest | None) -> str:
    """Return the name of the URL pattern with its namespaces, or the view's dotted path if the pattern has no name.

    A project has few of these names, however many URLs it has, so metrics can use them as a label.
    """
    match = getattr(request, "resolver_match", None)
    return UNKNOWN if match is None else match.view_name


def about(request: HttpRequest | None, **values: Any) -> dict[str, Any]:
    """Return the ``extra`` of a record: ``request``, as in Django's own records, ``method``, ``path`` and ``view``.

    Control characters are escaped, because a line break in a path could forge a line of a log.
    """
    fields = {
        "method": getattr(request, "method", None),
        "path": getattr(request, "path", None),
        "view": view_name(request),
        **values,
    }
    return {"request": request} | {name: _escaped(value) for name, value in fields.items()}


def log(level: int, message: str, request: HttpRequest | None, **values: Any) -> None:
    """Log a message about a stream. ``message`` is formatted with the fields of the record, if the level is enabled."""
    if logger.isEnabledFor(level):
        extra = about(request, **values)
        logger.log(level, message, extra, extra=extra, stacklevel=2)


def _escaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if not isinstance(value, str):
        return value
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), value)
