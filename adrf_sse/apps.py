"""The Django app."""

from django.apps import AppConfig
from django.core import checks


class AdrfSSEConfig(AppConfig):
    """Register the system checks."""

    name = "adrf_sse"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the checks with Django."""
        from adrf_sse.checks import CHECKS

        for check, tags in CHECKS.items():
            checks.register(check, *tags)
