"""The examples of ``docs/limits.md``."""

from django.contrib.auth.models import User
from django.core.cache import cache
from django.urls import path

from adrf_sse.settings import validated
from tests.docs.examples import examples


async def test_the_documented_limits(visit, settings):
    found = examples("limits.md")
    assert validated(found["ADRF_SSE"])[1] == []
    assert found["ExportThrottle"]().scope == "exports"
    async with visit(found["News"].as_view()) as stream:
        assert stream.status_code == 200


async def test_the_documented_throttle_limits_the_runs_that_a_user_starts(event_stream_client, settings):
    found = examples("limits.md")
    found["StartThrottle"].rate = "1/day"
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    view = found["Answer"].as_view()
    patterns = [path("answers/", view), path("answers/<str:run_id>/", view)]
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": patterns})
    event_stream_client.force_authenticate(user=User(pk=1))
    cache.clear()
    for status in (200, 429):
        async with event_stream_client.post("/answers/") as stream:
            assert stream.status_code == status
            await stream.body()
    async with event_stream_client.get("/answers/answer-1/") as stream:
        assert [event.event async for event in stream] == ["token", "end"]
    async with event_stream_client.delete("/answers/answer-1/") as response:
        assert response.status_code == 204
