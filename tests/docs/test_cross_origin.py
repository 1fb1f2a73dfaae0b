"""The examples of ``docs/cross-origin.md``."""

import logging

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient
from uvicorn.logging import AccessFormatter

from tests.docs.examples import examples


@pytest.mark.django_db(transaction=True)
def test_the_documented_ticket_opens_a_stream(settings, event_stream_client):
    found = examples("cross-origin.md")
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": found["urlpatterns"]})
    user = User.objects.create_user("alice")
    token = Token.objects.create(user=user).key
    client = APIClient(headers={"Authorization": f"Token {token}"})
    ticket = client.post("/tickets/", {"path": "/orders/events/"}).json()["ticket"]
    with event_stream_client.get("/orders/events/", {"ticket": ticket, "last_event_id": ""}) as stream:
        assert stream.status_code == 200


def test_the_documented_filter_removes_the_query_from_uvicorns_access_log():
    found = examples("cross-origin.md")
    assert found["LOGGING"]["filters"]["without_query"]["()"] is found["WithoutQuery"]
    arguments = ("1.2.3.4:5", "GET", "/a/?ticket=b", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert found["WithoutQuery"]().filter(record)
    assert AccessFormatter("%(request_line)s", use_colors=False).format(record) == "GET /a/ HTTP/1.1"
