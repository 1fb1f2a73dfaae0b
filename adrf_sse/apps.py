"""The Django app."""

import sys

from django.apps import AppConfig, apps
from django.core import checks
from django.core.signals import got_request_exception


class AdrfSSEConfig(AppConfig):
    """Configure the app ``adrf_sse``."""

    name = "adrf_sse"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the checks and the note on generator handlers, and wait for changes of models with live lists.

        If drf-spectacular is installed, also register the description of streams.
        """
        from adrf_sse.channels.model_signals import watch_first_change
        from adrf_sse.checks import CHECKS
        from adrf_sse.checks.generators import note_generator
        from adrf_sse.streams.shutdown import shutdown

        for check, tags in CHECKS.items():
            checks.register(check, *tags)
        got_request_exception.connect(note_generator, dispatch_uid="adrf_sse.note_generator")
        watch_first_change()
        if "gunicorn.workers.gthread" in sys.modules:
            shutdown.listen()  # its requests run in threads, and only the main thread can set signal handlers
        if apps.is_installed("drf_spectacular"):
            import adrf_sse.openapi.extension  # noqa: F401
