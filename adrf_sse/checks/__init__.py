"""System checks for a project's streams. ``docs/checks.md`` has a section for each ID."""

from django.core.checks import Tags

from adrf_sse.checks.databases import check_tables
from adrf_sse.checks.generators import check_generators
from adrf_sse.checks.project import (
    check_asgi_application,
    check_broker,
    check_development_server,
    check_middleware,
    check_settings,
)
from adrf_sse.checks.runs import check_run_routes, check_run_workers
from adrf_sse.checks.views import check_atomic_requests, check_renderers
from adrf_sse.checks.workers import check_workers

TAG = "adrf_sse"
"""The tag of all checks: ``manage.py check --tag adrf_sse``."""

CHECKS = {
    check_settings: [TAG],
    check_asgi_application: [TAG, Tags.async_support],
    check_development_server: [TAG, Tags.async_support],
    check_middleware: [TAG, Tags.async_support],
    check_broker: [TAG],
    check_tables: [TAG, Tags.database],
    check_workers: [TAG],
    check_atomic_requests: [TAG, Tags.urls],
    check_renderers: [TAG, Tags.urls],
    check_generators: [TAG, Tags.urls],
    check_run_workers: [TAG, Tags.urls],
    check_run_routes: [TAG, Tags.urls],
}
"""The checks and their tags."""
