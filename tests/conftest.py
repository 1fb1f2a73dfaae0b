from collections.abc import Callable
from typing import Any

import pytest
from django.urls import path

from adrf_sse.testing import EventStreamClient, TestStream

Visit = Callable[..., TestStream]


@pytest.fixture
def visit(settings: Any) -> Visit:
    """Open a view, as the whole project, in process: ``async with visit(view) as stream``."""

    def visit(view: Any, *, method: str = "get", middleware: tuple[str, ...] = (), url: str = "/", **kwargs: Any):
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
        settings.MIDDLEWARE = list(middleware)
        return getattr(EventStreamClient(), method)(url, **kwargs)

    return visit
