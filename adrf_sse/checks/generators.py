"""Generator handlers of views that can't stream them: a check, and a note on the error when such a view is called."""

import sys
from inspect import isasyncgenfunction, isgeneratorfunction
from types import FunctionType
from typing import Any

from django.core import checks
from django.http import HttpRequest

from adrf_sse.checks.project import AppConfigs
from adrf_sse.checks.views import is_event_stream, routed_views

_ADVICE = (
    "Derive the class from adrf_sse.views.AsyncSSEAPIView, or put EventStreamMixin in front of its base classes. For a "
    "function, replace @api_view with @event_stream. Or return Response(source) with EventStreamRenderer in "
    "renderer_classes."
)


def check_generators(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report each handler that is a generator, in a view that does not let its handlers yield."""
    reported = {
        f"{view.name}.{handler}": None
        for view in routed_views()
        if not is_event_stream(view)
        for handler in _generators(view.callback).values()
    }
    return [
        checks.Error(
            "This handler yields, but its view expects a response. Each request to it fails.",
            hint=_ADVICE,
            obj=name,
            id="adrf_sse.E004",
        )
        for name in reported
    ]


def note_generator(sender: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Add a note to the exception that REST framework raises because a handler is a generator.

    A receiver of ``got_request_exception``. The note is in the log, on Django's error page and in the output of tests.
    """
    error = sys.exc_info()[1]
    callback = getattr(getattr(request, "resolver_match", None), "func", None)
    if request is None or not isinstance(error, AssertionError) or not hasattr(callback, "cls"):
        return
    if (request.method or "").lower() in _generators(callback):
        error.add_note(f"The handler yields, but its view expects a response. {_ADVICE}")


def _generators(callback: Any) -> dict[str, str]:
    """Return the HTTP methods of a route whose handlers are generators, and the names of the handlers."""
    cls = callback.cls
    actions: dict[str, str] = getattr(callback, "actions", None) or {name: name for name in cls.http_method_names}
    return {method: name for method, name in actions.items() if _is_generator(getattr(cls, name, None))}


def _is_generator(handler: Any) -> bool:
    if isinstance(handler, FunctionType) and handler.__qualname__ == "api_view.<locals>.decorator.<locals>.handler":
        # @api_view, of REST framework or adrf, keeps the function in the closure of its handler.
        return any(_is_generator(cell.cell_contents) for cell in handler.__closure__ or ())
    return isasyncgenfunction(handler) or isgeneratorfunction(handler)
