"""Checks of the views in the URLconf that stream."""

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
    """A REST framework view and the callback of one route to it."""

    callback: Callback
    cls: type[Any]
    arguments: frozenset[str]
    """The names of the arguments in its URL."""

    @property
    def name(self) -> str:
        """The dotted path of the class, or of the function for ``@event_stream`` and ``@api_view``."""
        name, path = self.cls.__name__, self.cls.__qualname__
        return f"{self.cls.__module__}.{path if path.endswith(name) else name}"

    @property
    def renderer_classes(self) -> list[Any]:
        """The renderers for content negotiation, unless the view overrides ``get_renderers()``."""
        of_route = getattr(self.callback, "initkwargs", {}).get("renderer_classes")
        return list(self.cls.renderer_classes if of_route is None else of_route)

    @property
    def handlers(self) -> list[Callback] | None:
        """The handlers that a viewset's route may call, or ``None`` for a view, whose routes may call all handlers."""
        actions: dict[str, str] | None = getattr(self.callback, "actions", None)
        return None if actions is None else [getattr(self.cls, name) for name in actions.values()]


def check_atomic_requests(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report each asynchronous view that streams and that Django can't call because of ``ATOMIC_REQUESTS``."""
    databases = {alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]}
    atomic: dict[str, list[str]] = {}
    for view in routed_views() if databases else ():
        aliases = databases - getattr(view.callback, "_non_atomic_requests", set())
        if aliases and iscoroutinefunction(view.callback) and _has_streams(view):
            atomic[view.name] = sorted(aliases)
    return [
        checks.Error(
            f"ATOMIC_REQUESTS is True for the database {', '.join(map(repr, aliases))}, and this view is "
            "asynchronous. Django raises RuntimeError for each request to it.",
            hint="Decorate the view with django.db.transaction.non_atomic_requests, once for each of these databases.",
            obj=name,
            id="adrf_sse.E002",
        )
        for name, aliases in atomic.items()
    ]


def check_renderers(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn about each view that streams but has no renderer for streams."""
    unrenderable = {view.name: view for view in routed_views() if _should_stream(view) and not _can_stream(view)}
    return [
        checks.Warning(
            f"This view streams, but none of its renderers can send a stream: {_names_of(view.renderer_classes)}.",
            hint="Add adrf_sse.renderers.EventStreamRenderer to its renderer_classes.",
            obj=name,
            id="adrf_sse.W004",
        )
        for name, view in unrenderable.items()
    ]


def _has_streams(view: RoutedView) -> bool:
    return is_event_stream(view) or any(map(_is_streaming, view.renderer_classes))


def _should_stream(view: RoutedView) -> bool:
    """Return whether a route is for a stream. Viewsets have other routes too, so their handler must be a generator."""
    return is_event_stream(view) and (view.handlers is None or any(map(_is_generator, view.handlers)))


# The functions below import late: REST framework's views must not be imported while Django is still loading the apps.


def _can_stream(view: RoutedView) -> bool:
    from rest_framework.views import APIView

    from adrf_sse.views import EventStreamMixin

    known = (APIView.get_renderers, EventStreamMixin.get_renderers)
    return view.cls.get_renderers not in known or any(map(_is_streaming, view.renderer_classes))


def is_event_stream(view: RoutedView) -> bool:
    """Return whether the handlers of a view may yield."""
    from adrf_sse.views import EventStreamMixin

    return issubclass(view.cls, EventStreamMixin)


def _is_streaming(renderer_class: Any) -> bool:
    from adrf_sse.renderers.streaming import StreamingRenderer

    return not isinstance(renderer_class, type) or issubclass(renderer_class, StreamingRenderer)


def _is_generator(handler: Callback) -> bool:
    function = unwrap(handler)  # The generator below @asynccontextmanager, for example.
    return isasyncgenfunction(function) or isgeneratorfunction(function)


def _names_of(renderer_classes: list[Any]) -> str:
    return ", ".join(renderer_class.__name__ for renderer_class in renderer_classes) or "it has none"


def routed_views() -> list[RoutedView]:
    """Return the REST framework views of the URLconf, one for each route."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        routes = list(_routes(get_resolver().url_patterns, frozenset()))
    except Exception:
        return []  # Django's own checks report an invalid URLconf.
    views = [RoutedView(callback, callback.cls, names) for callback, names in routes if hasattr(callback, "cls")]
    return [view for view in views if hasattr(view.cls, "renderer_classes")]


def _routes(
    patterns: Iterable[URLPattern | URLResolver], names: frozenset[str]
) -> Iterator[tuple[Callback, frozenset[str]]]:
    """Yield each callback with the names of the arguments in its URL. ``names`` are those of the URL's first part."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            given = pattern.default_kwargs
            yield from _routes(pattern.url_patterns, names.union(pattern.pattern.regex.groupindex, given))
        else:
            yield pattern.callback, names.union(pattern.pattern.regex.groupindex, pattern.default_args)
