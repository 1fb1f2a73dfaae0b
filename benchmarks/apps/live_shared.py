"""adrf_sse: a live list of the same rows for all clients."""

from django.core.asgi import get_asgi_application

streams = get_asgi_application()

from django.urls import path  # noqa: E402
from rest_framework.viewsets import ModelViewSet  # noqa: E402

from adrf_sse.views import LiveModelMixin  # noqa: E402
from benchmarks.apps.live_rows.models import Row  # noqa: E402
from benchmarks.apps.live_rows.serializers import RowSerializer  # noqa: E402
from benchmarks.apps.live_rows.writing import with_writer  # noqa: E402


class Rows(LiveModelMixin, ModelViewSet):
    """Stream all rows."""

    queryset = Row.objects.all()
    serializer_class = RowSerializer

    def get_live_partition(self):
        return "everybody"


urlpatterns = [path("subscribe", Rows.as_view({"get": "live"}, **Rows.live.kwargs))]
application = with_writer(streams)
