"""adrf_sse: a signal receiver that publishes rows to a channel."""

from django.core.asgi import get_asgi_application

streams = get_asgi_application()

from django.db import transaction  # noqa: E402
from django.db.models.signals import post_save  # noqa: E402
from django.urls import path  # noqa: E402

from adrf_sse.channels import publish  # noqa: E402
from adrf_sse.views import ChannelStreamView  # noqa: E402
from benchmarks.apps.live_rows.models import Row  # noqa: E402
from benchmarks.apps.live_rows.serializers import RowSerializer  # noqa: E402
from benchmarks.apps.live_rows.writing import with_writer  # noqa: E402


def publish_row(instance, **kwargs):
    """Publish a row when its transaction commits."""
    transaction.on_commit(lambda: publish("rows", RowSerializer(instance).data, event="updated"))


class Stream(ChannelStreamView):
    """Stream the channel."""

    def get_channels(self):
        return ["rows"]


post_save.connect(publish_row, sender=Row)
urlpatterns = [path("subscribe", Stream.as_view())]
application = with_writer(streams)
