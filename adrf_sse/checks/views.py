"""Checks of the views that stream, as the URLconf has them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import isasyncgenfunction, isgeneratorfunction, unwrap
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core import checks
from django.db import connections
from django.urls import URLPattern, URLResolver, get_resolver

from adrf_sse.checks.project import AppConfigs

Callback = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class RoutedView:
    """A class-based view of REST framework's, as one route calls it."""

    callback: Callback
    cls: type[Any]

    @property
    def name(self) -> str:
        """The class's dotted path; for ``@event_stream``, the function's."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}"

    @property
    def renderer_classes(self) -> list[Any]:
        """The renderers that negotiation chooses from, unless the view has a ``get_renderers()`` of its own."""
        given = getattr(self.callback, "initkwargs", {}).get("renderer_classes")
        return list(self.cls.renderer_classes if given is None else given)

    @property
    def handlers(self) -> list[Callback] | None:
        """The methods that a viewset's route calls; ``None`` for a view, all of whose methods it may call."""
        actions: dict[str, str] | None = getattr(self.callback, "actions", None)
        return None if actions is None else [getattr(self.cls, name) for name in actions.values()]


def check_atomic_requests(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report each asynchronous view with streams that ``ATOMIC_REQUESTS`` makes Django refuse to run."""
    databases = {alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]}
    refused: dict[str, list[str]] = {}
    for view in _routed_views() if databases else ():
        held = databases - getattr(view.callback, "_non_atomic_requests", set())
        if held and iscoroutinefunction(view.callback) and _has_streams(view):
            refused[view.name] = sorted(held)
    return [
        checks.Error(
            f"ATOMIC_REQUESTS is on for the database {', '.join(map(repr, held))}, and this view is asynchronous: "
            "Django refuses each request to it with a RuntimeError.",
            hint="Decorate the view with django.db.transaction.non_atomic_requests, once for each such database.",
            obj=name,
            id="adrf_sse.E002",
        )
        for name, held in refused.items()
    ]


def check_renderers(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of each view that is made to stream, and has no renderer that can."""
    silent = {view.name: view for view in _routed_views() if _should_stream(view) and not _can_stream(view)}
    return [
        checks.Warning(
            f"This view is a stream, and none of its renderers can send one: {_names_of(view.renderer_classes)}.",
            hint="Put adrf_sse.renderers.EventStreamRenderer into its renderer_classes.",
            obj=name,
            id="adrf_sse.W004",
        )
        for name, view in silent.items()
    ]


def _has_streams(view: RoutedView) -> bool:
    return _is_event_stream(view) or any(map(_streams, view.renderer_classes))


def _should_stream(view: RoutedView) -> bool:
    """Tell whether a route is there for a stream. A viewset may have other routes, so its handler has to show it."""
    return _is_event_stream(view) and (view.handlers is None or any(map(_yields, view.handlers)))


def _can_stream(view: RoutedView) -> bool:
    from rest_framework.views import APIView

    from adrf_sse.views import EventStreamMixin

    known = (APIView.get_renderers, EventStreamMixin.get_renderers)
    return view.cls.get_renderers not in known or any(map(_streams, view.renderer_classes))


# REST framework's views read its settings when they are imported: too early while the apps are still being loaded.


def _is_event_stream(view: RoutedView) -> bool:
    from adrf_sse.views import EventStreamMixin

    return issubclass(view.cls, EventStreamMixin)


def _streams(renderer_class: Any) -> bool:
    from adrf_sse.renderers.streaming import StreamingRenderer

    return not isinstance(renderer_class, type) or issubclass(renderer_class, StreamingRenderer)


def _yields(handler: Callback) -> bool:
    function = unwrap(handler)  # @asynccontextmanager, for one
    return isasyncgenfunction(function) or isgeneratorfunction(function)


def _names_of(renderer_classes: list[Any]) -> str:
    return ", ".join(renderer_class.__name__ for renderer_class in renderer_classes) or "it has none"


def _routed_views() -> list[RoutedView]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        callbacks = list(_callbacks(get_resolver().url_patterns))
    except Exception:
        return []  # Django's own check shows what is wrong with a URLconf
    found = [RoutedView(callback, callback.cls) for callback in callbacks if hasattr(callback, "cls")]
    return [view for view in found if hasattr(view.cls, "renderer_classes")]


def _callbacks(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Callback]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern.url_patterns)
        else:
            yield pattern.callback
