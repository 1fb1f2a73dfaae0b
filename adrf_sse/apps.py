"""The Django app."""

from django.apps import AppConfig
from django.core import checks
from django.core.signals import request_finished


class AdrfSSEConfig(AppConfig):
    """Register the system checks, and what ends streams with their requests."""

    name = "adrf_sse"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        from adrf_sse.checks import check_settings
        from adrf_sse.registry import open_streams

        checks.register(check_settings)
        request_finished.connect(open_streams.close_unread, dispatch_uid="adrf_sse.streams")
