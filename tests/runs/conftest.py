import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import path

from adrf_sse.testing import EventStreamClient


@pytest.fixture
def chat_client(settings: Any) -> Callable[..., EventStreamClient]:
    """A function that routes a subclass of a ``RunView`` at ``/chat/``, and returns a client whose ``view`` it is."""

    def chat_client(view_class: Any, **attributes: Any) -> EventStreamClient:
        attributes = {"go_on": asyncio.Event(), "started": [], "closed": asyncio.Event(), **attributes}
        view = type("View", (view_class,), attributes)
        route = view.as_view()
        urlpatterns = [path("chat/", route), path("chat/<str:run_id>/", route)]
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": urlpatterns})
        client = EventStreamClient()
        client.view = view
        return client

    return chat_client
