"""django-eventstream: one channel without storage."""

from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from django_eventstream import send_event
from django_eventstream.views import events

from benchmarks.apps import publishing


async def send(event):
    """Publish an event; nothing in it waits."""
    send_event("bench", "message", event)


async def publish(request, pattern, count, series):
    """Publish events."""
    await publishing.publish(send, pattern, count, series)
    return HttpResponse("ok")


urlpatterns = [
    path("subscribe", events, {"channels": ["bench"]}),
    path("publish/<str:pattern>/<int:count>/<int:series>", publish),
]
application = get_asgi_application()
