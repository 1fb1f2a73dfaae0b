from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models.signals import post_save
from rest_framework import serializers

from tests.docs.examples import examples

SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


class NameSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        fields = ["name"]


async def present_state() -> dict[str, int]:
    return {"orders": 3}


@pytest.fixture
def channels_page(settings: Any) -> Iterator[dict[str, Any]]:
    """Run the examples of channels. A group stands in for an order, because it has users and a name."""
    found = examples("channels.md", Order=Group, OrderSerializer=NameSerializer, present_state=present_state)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": found["urlpatterns"]})
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    yield found
    post_save.disconnect(found["announce"], sender=Group)
