"""Processes: whether the one that publishes can have subscribers, for brokers that reach one process only."""

import sys

from django.conf import settings
from django.core import mail

from adrf_sse.logs import logger

_DEVELOPMENT_SERVER = "django.core.servers.basehttp"
"""The module of ``runserver``. Modules for tests import it too, and it imports ``django.core.wsgi``."""


def may_serve() -> bool:
    """Return whether this process may serve streams, or is a test, which may do anything.

    A process that serves Django has created an application before it publishes. Commands, shells and task queues don't
    import what creates it. ``setup_test_environment()`` adds ``mail.outbox``.
    """
    return "django.core.asgi" in sys.modules or _may_serve_wsgi() or "runserver" in sys.argv or hasattr(mail, "outbox")


def _may_serve_wsgi() -> bool:
    application: str | None = settings.WSGI_APPLICATION
    if application is None or _DEVELOPMENT_SERVER not in sys.modules:
        return "django.core.wsgi" in sys.modules
    return application.rpartition(".")[0] in sys.modules


def warn_of_process(broker: object) -> None:
    """Log that no client receives what this process publishes."""
    logger.warning(
        "%s reaches only this process (%s), which serves no streams, so no client receives what it publishes. Set "
        "ADRF_SSE['BROKER'] to a broker that connects processes: PostgresBroker or RedisBroker.",
        type(broker).__name__,
        " ".join(sys.argv[:2]),
    )
