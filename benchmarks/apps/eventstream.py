"""django-eventstream: events are published to a channel, so each stream gets a channel and a publisher of its own."""

import asyncio
from itertools import count as counter

from django.core.asgi import get_asgi_application
from django.urls import path
from django_eventstream import send_event
from django_eventstream.views import MAX_PENDING, Listener, events, get_listener_manager

from benchmarks.apps.sources import source

urlpatterns = [path("<str:channel>", events)]
django = get_asgi_application()
channels = counter()


async def application(scope, receive, send):
    """Serve the stream of a channel, and publish to it meanwhile."""
    channel = str(next(channels))
    publisher = asyncio.create_task(publish(channel, *scope["path"].split("/")[1:]))
    try:
        await django({**scope, "path": f"/{channel}", "raw_path": f"/{channel}".encode()}, receive, send)
    finally:
        publisher.cancel()


async def publish(channel: str, kind: str, count: str) -> None:
    """Publish the events, never more than the listener keeps."""
    listener = await subscribed(channel)
    async for event in source(kind, count):
        while len(listener.channel_items.get(channel, ())) >= MAX_PENDING:  # noqa: ASYNC110
            await asyncio.sleep(0)
        send_event(channel, "message", event)


async def subscribed(channel: str) -> Listener:
    """Wait until the channel's listener waits for events; what is published earlier is lost."""
    listeners = get_listener_manager().listeners_by_channel
    while not any(listener.aevent._waiters for listener in listeners.get(channel, ())):  # noqa: ASYNC110
        await asyncio.sleep(0.0005)
    return next(iter(listeners[channel]))
