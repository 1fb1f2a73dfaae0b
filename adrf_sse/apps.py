"""The Django app."""

from django.apps import AppConfig, apps
from django.core import checks


class AdrfSSEConfig(AppConfig):
    """Register the system checks, and with drf-spectacular the description of streams."""

    name = "adrf_sse"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the checks with Django, and the description where there is something to describe for."""
        from adrf_sse.checks import CHECKS

        for check, tags in CHECKS.items():
            checks.register(check, *tags)
        if apps.is_installed("drf_spectacular"):
            import adrf_sse.openapi.schema  # noqa: F401
