"""A chat room: its page, its messages, and the stream of new messages."""

from django.db import transaction
from django.urls import reverse
from rest_framework.generics import ListCreateAPIView
from rest_framework.renderers import JSONRenderer

from adrf_sse.brokers import get_broker
from adrf_sse.channels import publish
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import ChannelStreamView
from chat.models import Message
from chat.serializers import MessageSerializer
from streams.pages import Page

RECENT = 50
"""Number of messages that a page shows at first."""

ROOMS = ["lobby", "django", "coffee"]
"""Rooms that the page links to. Any other name is also a room."""


def channel_of(room):
    return f"chat.{room}"


class RoomPage(Page):
    template_name = "chat/room.html"
    stream = "chat-events"

    def get_context_data(self, room, **kwargs):
        return super().get_context_data(
            title=f"Chat: {room}",
            room=room,
            rooms=ROOMS,
            stream_url=reverse("chat-events", args=[room]),
            messages_url=reverse("chat-messages", args=[room]),
            author_length=Message._meta.get_field("author").max_length,
            text_length=Message._meta.get_field("text").max_length,
            **kwargs,
        )


class Messages(ListCreateAPIView):
    """List the last messages, newest first, and accept new ones."""

    serializer_class = MessageSerializer
    renderer_classes = [JSONRenderer]

    def get_queryset(self):
        return Message.objects.filter(room=self.kwargs["room"]).order_by("-id")[:RECENT]

    @transaction.atomic
    def perform_create(self, serializer):
        room = self.kwargs["room"]
        serializer.save(room=room)
        announce(channel_of(room), serializer.data)


def announce(channel, data):
    """Publish what the current transaction has saved, when it commits."""
    if get_broker().joins_transaction("default"):
        publish(channel, data)
    else:
        # robust=True: a saved message is a success for its author, even if the broker is unavailable.
        transaction.on_commit(lambda: publish(channel, data), robust=True)


class RoomStream(ChannelStreamView):
    """Stream new messages. Clients that reconnect also receive the messages that they missed."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    def get_channels(self):
        return [channel_of(self.kwargs["room"])]
