"""Checks of the settings: the package's own, the applications, and the middleware."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from adrf_sse.brokers import get_broker
from adrf_sse.settings import setting_problems

AppConfigs = Sequence[AppConfig] | None

ASGI_SERVERS = ("uvicorn", "hypercorn", "granian")
"""Packages that serve an ASGI application from a command of their own, beside daphne, which has a ``runserver``."""


def check_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report every unknown key and bad value in ``ADRF_SSE``."""
    return [
        checks.Error(problem, hint="docs/settings.md lists the keys, their units and defaults.", id="adrf_sse.E001")
        for problem in setting_problems()
    ]


def check_broker(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report a broker that can't be made: an extra that is not installed, options that it does not take."""
    if setting_problems():
        return []
    try:
        get_broker()
    except ImproperlyConfigured as exc:
        hint = "docs/channels.md lists the brokers and their options."
        return [checks.Error(str(exc), hint=hint, id="adrf_sse.E003")]
    return []


def check_asgi_application(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn where a project names a WSGI application and has no ASGI one: each stream then holds a worker."""
    wsgi: str | None = getattr(settings, "WSGI_APPLICATION", None)
    if not wsgi or getattr(settings, "ASGI_APPLICATION", None) or _has_module(_asgi_module(wsgi)):
        return []
    return [
        checks.Warning(
            f"The project has a WSGI application, {wsgi}, and no ASGI application: each stream holds a worker of the "
            "server for as long as it is open.",
            hint=f"Make the module {_asgi_module(wsgi)} with get_asgi_application() and serve that, or name your "
            "ASGI application in ASGI_APPLICATION.",
            id="adrf_sse.W001",
        )
    ]


def check_middleware(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of middleware that can't run in the event loop: each request takes a thread until its stream begins."""
    sync_only = [path for path in settings.MIDDLEWARE or () if _is_sync_only(path)]
    if not sync_only:
        return []
    return [
        checks.Warning(
            f"Synchronous middleware stands in front of the streams: {', '.join(sync_only)}. Under ASGI, each request "
            "takes a thread until its stream begins.",
            hint="Use versions that are async_capable, or silence this where few streams begin at the same time.",
            id="adrf_sse.W002",
        )
    ]


def check_development_server(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Tell a developer that nothing here serves ASGI: ``runserver`` without daphne serves WSGI."""
    if not settings.DEBUG or apps.is_installed("daphne") or any(map(_has_module, ASGI_SERVERS)):
        return []
    return [
        checks.Info(
            "No ASGI server is installed, and runserver serves WSGI: each stream holds a thread of it.",
            hint="Install uvicorn and run it with --reload, or install daphne and put 'daphne' first in "
            "INSTALLED_APPS, which makes runserver serve ASGI.",
            id="adrf_sse.I001",
        )
    ]


def _asgi_module(wsgi_application: str) -> str:
    """Return where ``startproject`` puts the ASGI application: beside the WSGI one."""
    *package, _module, _name = wsgi_application.split(".")
    return ".".join([*package, "asgi"])


def _has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False  # no such package; or a module that was not imported in the usual way


def _is_sync_only(path: str) -> bool:
    try:
        middleware = import_string(path)
    except Exception:
        return False  # Django itself says so, as soon as it serves
    return not getattr(middleware, "async_capable", False)
