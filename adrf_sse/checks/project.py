"""Checks of the project's settings: ``ADRF_SSE``, the broker, the ASGI application and the middleware."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from adrf_sse.brokers import get_broker
from adrf_sse.documentation import page
from adrf_sse.settings import setting_problems

AppConfigs = Sequence[AppConfig] | None

ASGI_SERVERS = ("uvicorn", "hypercorn", "granian")
"""ASGI servers with a command of their own. daphne is checked separately, because it replaces ``runserver``."""


def check_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report each unknown key and each invalid value in ``ADRF_SSE``."""
    return [
        checks.Error(problem, hint=f"{page('settings')} lists the keys, their units and defaults.", id="adrf_sse.E001")
        for problem in setting_problems()
    ]


def check_broker(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report a broker that can't be created, for example because of a missing extra or an invalid option."""
    if setting_problems():
        return []
    try:
        get_broker()
    except ImproperlyConfigured as exc:
        hint = f"{page('brokers')} lists the brokers and their options."
        return [checks.Error(str(exc), hint=hint, id="adrf_sse.E003")]
    return []


def check_asgi_application(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if the project has a WSGI application but no ASGI application."""
    wsgi: str | None = getattr(settings, "WSGI_APPLICATION", None)
    if not wsgi or getattr(settings, "ASGI_APPLICATION", None) or _has_module(_asgi_module(wsgi)):
        return []
    return [
        checks.Warning(
            f"The project has a WSGI application, {wsgi}, and no ASGI application. Under WSGI, each open stream "
            "occupies a worker or thread of the server.",
            hint=f"Create the module {_asgi_module(wsgi)} with get_asgi_application() and serve it with an ASGI "
            "server. If the ASGI application is in another module, set ASGI_APPLICATION.",
            id="adrf_sse.W001",
        )
    ]


def check_middleware(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn about middleware that can't run in the event loop."""
    sync_only = [path for path in settings.MIDDLEWARE or () if _is_sync_only(path)]
    if not sync_only:
        return []
    return [
        checks.Warning(
            f"MIDDLEWARE contains middleware that is not async_capable: {', '.join(sync_only)}. Under ASGI, each "
            "request occupies a thread until its stream starts.",
            hint="Use async_capable versions, or silence this check if few streams start at the same time.",
            id="adrf_sse.W002",
        )
    ]


def check_development_server(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Inform developers if no ASGI server is installed. ``runserver`` serves WSGI unless daphne replaces it."""
    if not settings.DEBUG or apps.is_installed("daphne") or any(map(_has_module, ASGI_SERVERS)):
        return []
    return [
        checks.Info(
            "No ASGI server is installed. runserver serves WSGI, so each open stream occupies one of its threads.",
            hint="Install uvicorn and run it with --reload. Or install daphne and put 'daphne' first in "
            "INSTALLED_APPS, so that runserver serves ASGI.",
            id="adrf_sse.I001",
        )
    ]


def _asgi_module(wsgi_application: str) -> str:
    """Return the module in which ``startproject`` creates the ASGI application: next to the WSGI application."""
    *package, _module, _name = wsgi_application.split(".")
    return ".".join([*package, "asgi"])


def _has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False  # The parent package does not exist, or the module has no spec.


def _is_sync_only(path: str) -> bool:
    try:
        middleware = import_string(path)
    except Exception:
        return False  # Django reports this error when the server starts.
    return not getattr(middleware, "async_capable", False)
