"""adrf_sse: a view of a channel in which nothing is published."""

from django.core.asgi import get_asgi_application
from django.urls import path

from adrf_sse.views import ChannelStreamView


class Stream(ChannelStreamView):
    """Stream the channel."""

    def get_channels(self):
        return ["silent"]


urlpatterns = [path("<str:kind>/<int:count>", Stream.as_view())]
application = get_asgi_application()
