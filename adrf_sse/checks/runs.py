"""Checks of the views that start runs."""

from typing import Any

from django.core import checks

from adrf_sse.checks.project import AppConfigs
from adrf_sse.checks.views import RoutedView, routed_views
from adrf_sse.checks.workers import separate_workers


def check_run_workers(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if runs are followed through several worker processes, but the broker reaches only one process."""
    separate = separate_workers()
    if separate is None:
        return []
    return [
        checks.Warning(
            f"{separate} A run exists only in the process that has started it. If another process receives a request "
            "to follow or stop it, the response is a 404.",
            hint="Set ADRF_SSE['BROKER'] to a broker that connects processes, or run one worker.",
            obj=name,
            id="adrf_sse.W005",
        )
        for name in _routes_of_runs()
    ]


def check_run_routes(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn about each ``RunView`` that has no route with a run's ID."""
    return [
        checks.Warning(
            "This RunView has no route with run_id, so clients can't follow or stop the runs that it starts.",
            hint="Route the view twice: path('chat/', view) and path('chat/<str:run_id>/', view). If another view "
            "serves the runs, return its path from get_run_url().",
            obj=name,
            id="adrf_sse.W006",
        )
        for name, routes in _routes_of_runs().items()
        if not any("run_id" in route.arguments for route in routes) and not _has_other_url(routes[0])
    ]


# The functions below import late, as those in checks.views.


def _routes_of_runs() -> dict[str, list[RoutedView]]:
    """Return the routes of each view that starts runs, by the view's name."""
    from adrf_sse.views import RunView

    found: dict[str, list[RoutedView]] = {}
    for view in routed_views():
        if issubclass(view.cls, RunView):
            found.setdefault(view.name, []).append(view)
    return found


def _has_other_url(view: RoutedView) -> bool:
    from adrf_sse.views import RunView

    return view.cls.get_run_url is not RunView.get_run_url
