"""The Django app."""

from django.apps import AppConfig, apps
from django.core import checks


class AdrfSSEConfig(AppConfig):
    """Configure the app ``adrf_sse``."""

    name = "adrf_sse"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the system checks and, if drf-spectacular is installed, the description of streams."""
        from adrf_sse.checks import CHECKS

        for check, tags in CHECKS.items():
            checks.register(check, *tags)
        if apps.is_installed("drf_spectacular"):
            import adrf_sse.openapi.extension  # noqa: F401
