"""URLs of the rooms. A room doesn't have to be created."""

from django.urls import path, register_converter
from django.urls.converters import SlugConverter

from chat.views import Messages, RoomPage, RoomStream


class RoomConverter(SlugConverter):
    regex = "[-a-zA-Z0-9_]{1,40}"


register_converter(RoomConverter, "room")

urlpatterns = [
    path("", RoomPage.as_view(), {"room": "lobby"}, name="chat"),
    path("<room:room>/", RoomPage.as_view(), name="chat-room"),
    path("<room:room>/messages/", Messages.as_view(), name="chat-messages"),
    path("<room:room>/events/", RoomStream.as_view(), name="chat-events"),
]
