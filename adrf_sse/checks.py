"""What ``manage.py check`` says about a project's streams."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error

from adrf_sse.settings import setting_problems


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report every unknown key and bad value in ``ADRF_SSE``."""
    return [
        Error(problem, hint="docs/settings.md lists the keys, their units and defaults.", id="adrf_sse.E001")
        for problem in setting_problems()
    ]
